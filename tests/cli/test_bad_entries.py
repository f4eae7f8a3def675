"""Evaluation and submission with invalid entries: valid ones are used, invalid ones are counted."""

import json
from pathlib import Path
from typing import Any

import pytest

from command import rsn
from people_on_disk import write_people

pytest.importorskip("hotcoco")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images; boxes.json has all people, a box outside the image and one with an invalid score."""
    path = write_people(tmp_path_factory.mktemp("bad"), images=2)
    people = json.loads(path.read_text())
    boxes = [
        {"image_id": one["image_id"], "category_id": 1, "bbox": one["bbox"], "score": 0.9}
        for one in people["annotations"]
    ]
    bad = [boxes[0] | {"bbox": [170, 10, 50, 50]}, boxes[0] | {"score": float("nan")}]
    (path.parent / "boxes.json").write_text(json.dumps([*boxes, *bad]))
    return path.parent


def given(folder: Path, boxes: str = "boxes.json") -> list[object]:
    files = ["--annotations", folder / "people.json", "--images", folder / "images"]
    return [*files, "--boxes", folder / boxes]


def test_evaluate_skips_and_counts_bad_boxes(folder: Path, random_weights: Path, tmp_path: Path) -> None:
    files = ["--json", tmp_path / "metrics.json", "--results", tmp_path / "results.json"]
    done = rsn("evaluate", random_weights, *given(folder), *files)
    assert done.returncode == 0, done.stderr
    assert "skipped: 1 with a score that is not a finite number" in done.stderr
    assert "rsn: boxes left out: 1 outside the image" in done.stderr
    assert json.loads((tmp_path / "metrics.json").read_text())["skipped"] == {
        "with a score that is not a finite number": 1,
        "outside the image": 1,
    }
    assert len(json.loads((tmp_path / "results.json").read_text())) == 4


def test_submit_skips_and_counts_bad_boxes(folder: Path, random_weights: Path, tmp_path: Path) -> None:
    done = rsn("submit", "coco-testdev", random_weights, *given(folder), "--output", tmp_path / "out.zip")
    assert done.returncode == 0, done.stderr
    assert "is valid: 4 people in 2 images" in done.stderr
    assert "rsn: boxes left out: 1 outside the image" in done.stderr


def write(folder: Path, name: str, document: Any) -> str:
    (folder / name).write_text(json.dumps(document))
    return name


@pytest.mark.parametrize("boxes", [[], {}, [{"image_id": 1, "category_id": 1, "bbox": [900, 1, 9, 9], "score": 1}]])
def test_file_without_usable_boxes_is_rejected(folder: Path, random_weights: Path, tmp_path: Path, boxes: Any) -> None:
    name = write(folder, "none.json", boxes)
    for command in (
        ("evaluate", random_weights),
        ("submit", "coco-testdev", random_weights, "--output", tmp_path / "x.zip"),
    ):
        done = rsn(*command, *given(folder, name))
        assert done.returncode == 1
        assert (
            "no boxes for the images" in done.stderr
            or "no results to evaluate" in done.stderr
            or ("nothing to submit" in done.stderr)
        )
        assert "AP" not in done.stdout
    assert not (tmp_path / "x.zip").exists()


@pytest.mark.parametrize(
    ("boxes", "says"),
    [
        (lambda document: document, "1 images without boxes; skipped: 2 of an image of another size"),
        (
            lambda document: [
                one | {"score": 0.9, "bbox": [value / 160 for value in one["bbox"]]} for one in document["annotations"]
            ],
            "skipped: 4 less than a pixel wide or high; boxes are x, y, width, height in pixels of the image",
        ),
    ],
)
def test_boxes_of_another_image_size_are_reported(folder: Path, random_weights: Path, boxes: Any, says: str) -> None:
    document = json.loads((folder / "people.json").read_text())
    document["images"][0] |= {"width": 320, "height": 240}
    done = rsn("evaluate", random_weights, *given(folder, write(folder, "other.json", boxes(document))))
    assert says in done.stderr
    assert done.returncode == ("in pixels" in says)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda document: document.update(annotations=[]), "has no annotations"),
        (
            lambda document: [one.update(iscrowd=1) for one in document["annotations"]],
            "no person with keypoints",
        ),
        (
            lambda document: [one.update(keypoints=[0] * 51) for one in document["annotations"]],
            "no person with keypoints",
        ),
    ],
)
def test_annotations_without_people_are_rejected_before_prediction(
    folder: Path, random_weights: Path, tmp_path: Path, change: Any, says: str
) -> None:
    document = json.loads((folder / "people.json").read_text())
    results = [one | {"score": 1.0} for one in document["annotations"]]
    change(document)
    (tmp_path / "people.json").write_text(json.dumps(document))
    (tmp_path / "results.json").write_text(json.dumps(results))
    options = ["--annotations", tmp_path / "people.json"]
    for command in (
        ("score", tmp_path / "results.json"),
        ("evaluate", random_weights, "--images", folder / "images"),
    ):
        done = rsn(*command, *options)
        assert done.returncode == 1
        assert says in done.stderr
        assert "backend:" not in done.stderr
        assert done.stdout == ""


@pytest.mark.parametrize(
    ("results", "says"),
    [
        ([], "no results to evaluate: the list is empty"),
        (
            [{"image_id": 1, "category_id": 1, "keypoints": [1, 2, 1] * 17, "score": None}],
            "1 with a score that is not",
        ),
        ({}, "expected a list of COCO keypoint results"),
    ],
)
def test_score_rejects_invalid_results(folder: Path, results: Any, says: str) -> None:
    done = rsn("score", folder / write(folder, "results.json", results), "--annotations", folder / "people.json")
    assert done.returncode == 1
    assert says in done.stderr
    assert done.stdout == ""


def test_score_skips_and_counts_bad_results(folder: Path, tmp_path: Path) -> None:
    document = json.loads((folder / "people.json").read_text())
    results = [one | {"score": 1.0} for one in document["annotations"]]
    bad = [
        results[0] | {"score": float("nan")},
        results[0] | {"image_id": 99},
        results[0] | {"category_id": 2},
    ]
    name = write(folder, "mixed.json", [*results, *bad])
    files = ["--annotations", folder / "people.json", "--json", tmp_path / "metrics.json", "--parts"]
    done = rsn("score", folder / name, *files)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("skipped") == 1
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["metrics"]["AP"] == pytest.approx(1)
    assert sum(metrics["skipped_results"].values()) == 3


def test_check_rejects_empty_submission(tmp_path: Path) -> None:
    from rsn.evaluation.coco_submission import write_testdev

    write_testdev([], tmp_path / "out.zip", algorithm="rsn")
    done = rsn("submit", "check", tmp_path / "out.zip")
    assert done.returncode == 1
    assert "contains no results" in done.stderr
