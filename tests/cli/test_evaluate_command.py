"""rsn evaluate and rsn score: boxes, duplicates, parts, several processes, and errors."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command import rsn
from people_on_disk import write_people

pytest.importorskip("hotcoco")


def detections(people: dict[str, Any]) -> list[dict[str, Any]]:
    """Detections: all people, a low-scoring box, a dog, a box of another dataset, and an empty box."""
    found = [
        {"image_id": person["image_id"], "category_id": 1, "bbox": person["bbox"], "score": 0.9}
        for person in people["annotations"]
    ]
    first = found[0]
    return [
        *found, first | {"score": 0.01}, first | {"category_id": 18}, first | {"image_id": 777},
        first | {"bbox": [5, 5, 0, 10]},
    ]  # fmt: skip


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five images (an odd number) and a file of detections in four of them."""
    path = write_people(tmp_path_factory.mktemp("crowd"), images=5)
    people = json.loads(path.read_text())
    people["annotations"] = people["annotations"][:8]
    (path.parent / "boxes.json").write_text(json.dumps(detections(people)))
    return path


def given(crowd: Path) -> list[object]:
    return [
        "--annotations",
        crowd,
        "--images",
        crowd.parent / "images",
        "--boxes",
        crowd.parent / "boxes.json",
    ]


def test_evaluate_reports_skipped_boxes(crowd: Path, random_weights: Path, tmp_path: Path) -> None:
    files = ["--json", tmp_path / "metrics.json", "--results", tmp_path / "results.json"]
    options = ["--box-threshold", 0.1, "--parts", "--nms", "oks"]
    done = rsn("evaluate", random_weights, *given(crowd), *options, *files)
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "metrics.json").read_text())
    assert document["skipped"] == {
        "of another category": 1, "with a score below 0.1": 1,
        "less than a pixel wide or high": 1,
        "of images that are not in the dataset": 1,
    }  # fmt: skip
    assert document["images_without_boxes"] == 1
    assert "8 in 4 images; 1 images without boxes; skipped: 1 of another category" in done.stderr
    assert list(document["parts"])[:2] == ["head", "shoulders"]
    assert "ankles" in done.stdout
    scored = rsn("score", tmp_path / "results.json", "--annotations", crowd, "--parts")
    assert scored.returncode == 0, scored.stderr
    assert scored.stdout == done.stdout


def test_oks_nms_removes_duplicate_boxes(crowd: Path, random_weights: Path, tmp_path: Path) -> None:
    boxes = json.loads((crowd.parent / "boxes.json").read_text())[:8]
    (tmp_path / "twice.json").write_text(json.dumps([*boxes, *boxes]))
    counts = []
    for nms in ("none", "oks"):
        options = ["--boxes", tmp_path / "twice.json", "--nms", nms, "--results", tmp_path / "results.json"]
        done = rsn("evaluate", random_weights, *given(crowd)[:4], *options)
        assert done.returncode == 0, done.stderr
        counts.append(len(json.loads((tmp_path / "results.json").read_text())))
    assert counts[0] == 16
    assert counts[1] <= 8


@pytest.mark.parametrize("processes", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_several_processes_give_results_of_one(
    crowd: Path, random_weights: Path, tmp_path: Path, processes: int
) -> None:
    alone = rsn("evaluate", random_weights, *given(crowd), "--results", tmp_path / "alone.json")
    assert alone.returncode == 0, alone.stderr
    command = [
        sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--standalone",
        "-m", "rsn", "evaluate", random_weights, *given(crowd), "--results", tmp_path / "together.json",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "together.json").read_text()) == json.loads((tmp_path / "alone.json").read_text())
    assert done.stdout == alone.stdout
    assert done.stderr.count("rsn: boxes:") == 1


def test_other_category_id_and_image_names_are_read(crowd: Path, random_weights: Path, tmp_path: Path) -> None:
    document = json.loads(crowd.read_text(encoding="utf-8"))
    for entry in (*document["annotations"], *document["categories"]):
        entry["category_id" if "bbox" in entry else "id"] = 4
    for image in document["images"]:
        image["file_name"] = f"COCO_val2014_{image['file_name']}"
    (tmp_path / "fours.json").write_text(json.dumps(document))
    options = ["--annotations", tmp_path / "fours.json", "--images", crowd.parent / "images"]
    done = rsn("evaluate", random_weights, *options, "--results", tmp_path / "results.json")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert {entry["category_id"] for entry in results} == {4}


def _other_boxes(folder: Path) -> list[object]:
    boxes = [{"image_id": 777, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}]
    (folder / "other.json").write_text(json.dumps(boxes))
    return ["--boxes", folder / "other.json"]


def _three_numbers(folder: Path) -> list[object]:
    boxes = [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3], "score": 1}]
    (folder / "three.json").write_text(json.dumps(boxes))
    return ["--boxes", folder / "three.json"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (_other_boxes, "skipped: 1 of images that are not in the dataset"),
        (_three_numbers, "not a file of boxes"),
        (lambda folder: ["--json", folder], "it is a folder"),
        (lambda folder: ["--results", "/proc/none/results.json"], "cannot make the folder /proc/none"),
    ],
)
def test_evaluate_rejects_invalid_options(
    crowd: Path, random_weights: Path, tmp_path: Path, arguments: Callable[[Path], list[object]], says: str
) -> None:
    done = rsn("evaluate", random_weights, *given(crowd)[:4], *arguments(tmp_path))
    assert done.returncode == 1
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def _listed_twice(document: dict[str, Any]) -> None:
    document["images"].append(document["images"][0])


def _annotated_twice(document: dict[str, Any]) -> None:
    document["annotations"][1]["id"] = 1


def _another_set(document: dict[str, Any]) -> None:
    for image in document["images"]:
        image |= {"id": image["id"] + 100, "file_name": f"{image['id'] + 100}.png"}
    for person in document["annotations"]:
        person["image_id"] += 100


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_listed_twice, "1 repeated image ids (give every image its own): image 1"),
        (_annotated_twice, "1 repeated annotation ids (give every annotation its own): annotation 1"),
        (_another_set, "no results to evaluate; skipped: 10 of images that the annotations do not list"),
    ],
)
def test_score_rejects_annotations_that_do_not_fit(
    crowd: Path, tmp_path: Path, damage: Callable[[dict[str, Any]], None], says: str
) -> None:
    document = json.loads(crowd.read_text(encoding="utf-8"))
    results = [person | {"score": 1.0} for person in document["annotations"]]
    (tmp_path / "results.json").write_text(json.dumps(results))
    damage(document)
    (tmp_path / "people.json").write_text(json.dumps(document))
    done = rsn("score", tmp_path / "results.json", "--annotations", tmp_path / "people.json")
    assert done.returncode == 1
    assert says in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
