"""Invalid boxes and boxes of other categories are left out and counted; the others are used."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command import rsn
from rsn.errors import AnnotationError
from rsn.inference.box_checks import BoxNotes, check_boxes, filter_boxes, usable_boxes
from rsn.inference.box_sources import BoxFile, choose_categories
from rsn.inference.estimator import PoseEstimator

IMAGE = np.zeros((90, 70, 3), np.uint8)
SIZE = IMAGE.shape[:2]
GOOD = [5, 5, 40, 60]
BAD: list[tuple[list[float], float, str]] = [
    ([79, 10, 50, 50], 0.9, "outside the image"),
    ([10, 90, 50, 50], 0.9, "outside the image"),
    ([-60, 10, 50, 50], 0.9, "outside the image"),
    ([0.1, 0.2, 0.5, 0.6], 0.9, "less than a pixel wide or high"),
    ([5, 5, 40, 0.5], 0.9, "less than a pixel wide or high"),
    ([5, 5, 0, 40], 0.9, "less than a pixel wide or high"),
    ([45, 65, -40, -60], 0.9, "less than a pixel wide or high"),
    ([5, float("nan"), 40, 60], 0.9, "with a number that is not finite"),
    ([5, 5, float("inf"), 60], 0.9, "with a number that is not finite"),
    (GOOD, float("nan"), "with a number that is not finite"),
]


@pytest.mark.parametrize(("box", "score", "reason"), BAD)
def test_filter_boxes_leaves_out_and_counts_invalid_boxes(box: list[float], score: float, reason: str) -> None:
    boxes, scores, notes = filter_boxes([GOOD, box, GOOD, box], [0.5, score, 0.4, score], SIZE)
    assert boxes.tolist() == [GOOD, GOOD]
    assert scores.tolist() == [0.5, 0.4]
    assert notes.skipped == {reason: 2}
    assert f"boxes left out: 2 {reason}" in notes.sentence()


@pytest.mark.parametrize(("box", "score", "reason"), BAD)
def test_check_boxes_rejects_invalid_boxes(box: list[float], score: float, reason: str) -> None:
    with pytest.raises(AnnotationError, match=r"outside|less than a pixel|finite|0 to 1"):
        check_boxes([GOOD, box], [0.5, score], "xywh", SIZE)


def test_box_over_the_edge_is_used_and_one_far_outside_is_reported() -> None:
    boxes, _, notes = filter_boxes([[-2, -2, 60, 80], [10, 20, 60, 60], [10, 20, 80, 120]], np.ones(3), SIZE)
    assert len(boxes) == 3
    assert notes.sentence().startswith("boxes: 1 reach far beyond the image; boxes are x, y, width, height in pix")


def test_empty_boxes_give_empty_notes() -> None:
    usable, notes = usable_boxes(np.empty((0, 4)), np.empty(0), (90, 70))
    assert usable.shape == (0,)
    assert notes == BoxNotes()
    assert notes.sentence() == ""


def test_estimator_ignores_detections_outside_the_image(random_weights: Path) -> None:
    found = np.array([GOOD, [500, 10, 20, 20]], float), np.array([0.9, 0.8])
    people = PoseEstimator(random_weights, detector=lambda image: found)(IMAGE)
    assert [person.bbox.tolist() for person in people] == [GOOD]


def read(folder: Path, document: Any, **options: Any) -> BoxFile:
    path = folder / "boxes.json"
    path.write_text(json.dumps(document))
    return BoxFile.read(path, **options)


def entry(**changes: Any) -> dict[str, Any]:
    return {"image_id": 7, "category_id": 1, "bbox": GOOD, "score": 0.5} | changes


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (entry(bbox=[1, 2, 3]), "that are not x, y, width, height"),
        (entry(bbox=[1, 2, 3, None]), "that are not x, y, width, height"),
        (entry(bbox=[1, 2, 3, "wide"]), "that are not x, y, width, height"),
        (entry(bbox=None), "that are not x, y, width, height"),
        (entry(bbox=[5, 5, float("nan"), 60]), "that are not x, y, width, height"),
        (entry(score=float("nan")), "with a score that is not a finite number"),
        (entry(score=float("-inf")), "with a score that is not a finite number"),
        (entry(score="high"), "with a score that is not a finite number"),
        (entry(category_id=3), "of another category"),
        (entry(category_id="3"), "of another category"),
        (entry(category_id=[1]), None),
        (entry(image_id=None), "of images that are not listed"),
        (entry(image_id=[7]), "of images that are not listed"),
        ("nothing", "of images that are not listed"),
    ],
)
def test_box_file_counts_invalid_results(tmp_path: Path, bad: Any, reason: str | None) -> None:
    boxes = read(tmp_path, [entry(), bad, entry(category_id="1", bbox=["5", "5", "40", "60"]), bad])
    found = boxes.of_image(7)
    assert found is not None
    assert found[0][0].tolist() == found[0][-1].tolist() == GOOD
    if reason is not None:
        assert len(found[0]) == 2
        assert boxes.skipped == {reason: 2}
        assert boxes.summary() == f"2 boxes of 1 images; left out: 2 {reason}"


def test_box_file_counts_invalid_rows_and_annotations(tmp_path: Path) -> None:
    rows = read(tmp_path, {"a.jpg": [GOOD, [1, 2], "box", [*GOOD, 0.3], [*GOOD, float("nan")]], "b.jpg": []})
    found = rows.of_image("a.jpg")
    assert found is not None
    assert found[1].tolist() == [1, 0.3]
    assert rows.skipped == {
        "that are not x, y, width, height": 2,
        "with a score that is not a finite number": 1,
    }
    image = {"id": 7, "file_name": "a.jpg"}
    people = [{"image_id": 7, "bbox": GOOD}, {"image_id": 8, "bbox": GOOD}, {"image_id": 7, "bbox": [1, 2]}]
    listed = read(tmp_path, {"images": [image], "annotations": people})
    assert len(listed) == 1
    assert listed.skipped == {"of images that are not listed": 1, "that are not x, y, width, height": 1}


def test_results_without_score_have_score_1(tmp_path: Path) -> None:
    unscored = [{key: value for key, value in entry().items() if key != "score"}] * 2
    found = read(tmp_path, unscored).of_image(7)
    assert found is not None
    assert found[1].tolist() == [1, 1]
    assert read(tmp_path, [entry(), *unscored]).skipped == {}


def test_box_file_skips_entries_of_another_type(tmp_path: Path) -> None:
    image = {"id": 7, "file_name": "a.jpg"}
    listed = read(tmp_path, {"images": [image], "annotations": [None, 3, {"image_id": 7, "bbox": GOOD}]})
    assert (len(listed), listed.skipped) == (1, {"of images that are not listed": 2})
    rows = read(tmp_path, {"a.jpg": [GOOD], "b.jpg": None})
    assert (len(rows), rows.skipped) == (1, {"that are not x, y, width, height": 1})
    assert rows.of_image("b.jpg") is None


def test_category_names_of_entries_are_used(tmp_path: Path) -> None:
    named = [entry(category_id=one, category_name=name) for one, name in ((0, "person"), (1, "bicycle"))]
    assert read(tmp_path, named).skipped == {"of another category": 1}
    assert len(read(tmp_path, named, category="bicycle")) == 1


NAMED = [{"id": 1, "name": "cat"}, {"id": 5, "name": "Person"}, {"id": 9, "name": "fork"}]


@pytest.mark.parametrize(
    ("used", "listed", "options", "chosen"),
    [
        ([1, 18, 48], [], {}, [1]),
        ([18], [], {}, []),
        ([0], [], {}, [0]),
        (["1", 1.0, 2], [], {}, [1]),
        ([1, 5, 9], NAMED, {}, [5]),
        ([1, 9], NAMED, {}, []),
        ([2, 3], [{"id": 2, "name": "dog", "keypoints": ["nose"]}, {"id": 3, "name": "ball"}], {}, [2]),
        ([1, 18, 48], [], {"category": "any"}, [1, 18, 48]),
        ([1, 18, 48], [], {"category": "18"}, [18]),
        ([1, 5, 9], NAMED, {"category": "fork"}, [9]),
        ([0, 1, 2], [], {"category": "0"}, [0]),
        ([1, 2, 3], [], {"category_ids": (1, 3)}, [1, 3]),
        ([0, 1, 2], [], {"category_ids": (0, 2)}, [0, 2]),
    ],
)
def test_box_file_uses_persons_by_default(
    tmp_path: Path, used: list[Any], listed: list[Any], options: dict[str, Any], chosen: list[int]
) -> None:
    document = {
        "images": [{"id": 7, "file_name": "a.jpg"}], "categories": listed,
        "annotations": [entry(category_id=one) for one in used],
    }  # fmt: skip
    boxes = read(tmp_path, document if listed else document["annotations"], **options)
    assert len(boxes) == sum(float(one) in chosen for one in used)
    assert boxes.skipped["of another category"] == len(used) - len(boxes)


@pytest.mark.parametrize(
    ("used", "names", "options", "says"),
    [
        (
            [0, 1, 2],
            {},
            {},
            r"counted from 0 \(0, 1, 2\), so 1 may not be persons; name their category with --box-category",
        ),
        ([0, 1], {}, {"expected": [1]}, "counted from 0"),
        ([3, 4], {3: "cat", 4: "dog"}, {}, r"none of its categories is a person \(3 cat, 4 dog\)"),
        ([1, 2], {}, {"category": "person"}, "no box is of category 'person'; there are 1, 2"),
        ([1, 2], {}, {"category": "3"}, "no box is of category '3'"),
    ],
)
def test_choose_categories_rejects_files_without_known_persons(
    used: list[int], names: dict[int | str, str], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(AnnotationError, match=f"file: .*{says}"):
        choose_categories(used, names, "file", **options)


def predict(folder: Path, weights: Path, image: Path, boxes: Any, *options: object) -> tuple[int, int, str]:
    """Exit status, people found, and what was said."""
    (folder / "boxes.json").write_text(json.dumps(boxes))
    out = folder / "out"
    done = rsn("predict", image, "--boxes", folder / "boxes.json", "--model", weights, "--output", out, *options)
    people = json.loads((out / "poses.json").read_text()) if (out / "poses.json").is_file() else []
    return done.returncode, len(people), done.stderr


def test_predict_reports_boxes_that_it_left_out(tmp_path: Path, random_weights: Path, image: Path) -> None:
    boxes = {"good.png": [GOOD, *(box for box, _, _ in BAD[:4])]}
    status, people, said = predict(tmp_path, random_weights, image, boxes)
    assert (status, people) == (0, 1)
    assert "boxes left out: 1 less than a pixel wide or high, 3 outside the image" in said


def test_predict_uses_boxes_of_persons_by_default(tmp_path: Path, random_weights: Path, image: Path) -> None:
    boxes = [entry(image_id="good.png"), entry(image_id="good.png", category_id=48)]
    status, people, said = predict(tmp_path, random_weights, image, boxes)
    assert (status, people) == (0, 1)
    assert "left out: 1 of another category (see --box-category)" in said
    status, people, _ = predict(tmp_path, random_weights, image, boxes, "--box-category", "any")
    assert (status, people) == (0, 2)


def test_predict_rejects_boxes_in_fractions_of_the_image(tmp_path: Path, random_weights: Path, image: Path) -> None:
    status, people, said = predict(tmp_path, random_weights, image, {"good.png": [[0.1, 0.1, 0.5, 0.6]] * 2})
    assert (status, people) == (1, 0)
    assert "none of its boxes can be used" in said
    assert "in pixels of the image" in said


def test_predict_rejects_boxes_of_an_image_of_another_size(tmp_path: Path, random_weights: Path, image: Path) -> None:
    document = {
        "images": [{"id": 1, "file_name": "good.png", "width": 140, "height": 180}],
        "annotations": [{"image_id": 1, "bbox": GOOD}],
    }
    status, people, said = predict(tmp_path, random_weights, image, document)
    assert (status, people) == (1, 0)
    assert "it has 70 x 90 pixels, and" in said
    assert "has the boxes of an image of 140 x 180" in said
    document["images"][0] |= {"width": 70, "height": 91}
    assert predict(tmp_path, random_weights, image, document)[:2] == (0, 1)


def test_predict_rejects_box_category_without_a_file_of_boxes(image: Path) -> None:
    done = rsn("predict", image, "--boxes", "whole", "--box-category", "any")
    assert done.returncode == 1
    assert "--box-category needs a file of boxes" in done.stderr
