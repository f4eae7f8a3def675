"""AP of boxes, compared with pycocotools."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from rsn.errors import AnnotationError
from rsn.evaluation.detection import evaluate_boxes, measure_detector


def _pycocotools(document: dict, results: list[dict]) -> tuple[float, float]:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = document
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[0], evaluation.stats[1]


def test_box_metrics_equal_pycocotools(people_json: Path) -> None:
    document = json.loads(people_json.read_text(encoding="utf-8")) | {"info": {}}
    random = np.random.default_rng(0)
    results = []
    for person in document["annotations"]:
        for _ in range(int(random.integers(0, 3))):
            box = np.array(person["bbox"]) + random.normal(0, 6, 4)
            score = float(random.random())
            results.append({"image_id": person["image_id"], "category_id": 1, "bbox": box.tolist(), "score": score})
    ours = evaluate_boxes(document, results)
    assert (ours.ap, ours.ap50) == pytest.approx(_pycocotools(document, results), abs=1e-6)
    assert 0.1 < ours.ap < 0.9


def test_no_detections_give_ap_zero(people_json: Path) -> None:
    assert evaluate_boxes(json.loads(people_json.read_text(encoding="utf-8")), []).ap50 == 0


@pytest.mark.parametrize("area", [None, 0, -500, 0.2, "large"])
def test_impossible_areas_do_not_change_metrics(people_json: Path, area: object) -> None:
    document = json.loads(people_json.read_text(encoding="utf-8"))
    results = [
        {"image_id": one["image_id"], "category_id": 1, "bbox": one["bbox"], "score": 0.9}
        for one in document["annotations"]
    ]
    for one in document["annotations"]:
        one |= {"area": area, "iscrowd": "0"}
        del one["id"]
    assert evaluate_boxes(document, results).ap == pytest.approx(1)


def test_annotations_with_only_crowds_are_rejected(people_json: Path) -> None:
    document = json.loads(people_json.read_text(encoding="utf-8"))
    for one in document["annotations"]:
        one["iscrowd"] = 1
    with pytest.raises(AnnotationError, match="no person to evaluate"):
        evaluate_boxes(document, [])


def test_annotations_without_boxes_are_rejected() -> None:
    document = {
        "images": [{"id": 1}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [{"id": 1}],
    }
    with pytest.raises(AnnotationError, match="COCO evaluation cannot read"):
        evaluate_boxes(document, [])


def test_measure_detector_uses_complete_images_only(people_json: Path) -> None:
    document = json.loads(people_json.read_text(encoding="utf-8"))
    with pytest.raises(AnnotationError, match="no image has annotations_complete"):
        measure_detector(_detects_nothing, document, people_json.parent / "images")
    document["images"][0]["annotations_complete"] = document["images"][2]["annotations_complete"] = True
    boxes = {1: [], 3: []}
    for person in document["annotations"]:
        boxes.get(person["image_id"], []).append(person["bbox"])
    answers = iter(boxes.values())

    def finds_all(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = np.array(next(answers), np.float64)
        return found, np.ones(len(found))

    assert measure_detector(finds_all, document, people_json.parent / "images").ap == pytest.approx(1.0)
    assert measure_detector(_detects_nothing, document, people_json.parent / "images").ap50 == 0


def _detects_nothing(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((0, 4)), np.zeros(0)


def test_precision_and_recall_above_threshold() -> None:
    """Two people and a crowd: a good box, a bad box, a false positive, and a box on the crowd."""
    boxes = {1: [0, 0, 50, 50], 2: [200, 0, 50, 50], 3: [100, 0, 50, 50]}
    document = {
        "images": [{"id": 1}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": 1, "bbox": box, "area": 2500, "iscrowd": number == 3}
            for number, box in boxes.items()
        ],
    }
    found = {0.9: [0, 0, 50, 45], 0.6: [200, 0, 50, 20], 0.5: [300, 0, 50, 50], 0.8: [100, 0, 50, 45]}
    entries = [{"image_id": 1, "category_id": 1, "bbox": box, "score": score} for score, box in found.items()]
    scores = evaluate_boxes(document, entries)
    assert scores.precision_and_recall(0.95) == (1.0, 0.0)
    assert scores.precision_and_recall(0.7) == (1.0, 0.5)
    assert scores.precision_and_recall(0.55) == (0.5, 0.5)
    assert scores.precision_and_recall(0.1) == pytest.approx((1 / 3, 0.5))
