"""COCO evaluation of person boxes: how well a detector's boxes agree with the annotated ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsn.data.values import AREA_PER_BOX, is_crowd, usable_area
from rsn.detection.postprocessing import Detector
from rsn.errors import AnnotationError
from rsn.evaluation.coco import run_hotcoco
from rsn.io.images import read_image


@dataclass(frozen=True, eq=False)
class BoxMetrics:
    """Metrics of boxes.

    ap, ap50: average precision over the IoU thresholds 0.50, 0.55 ... 0.95, and at 0.50; each from 0 to 1.
    scores, correct: (N,) score of each box that counts, and whether it matches a person at IoU 0.50.
    people: number of annotated people.
    """

    ap: float
    ap50: float
    scores: NDArray[np.float64]
    correct: NDArray[np.bool_]
    people: int

    def precision_and_recall(self, box_threshold: float) -> tuple[float, float]:
        """Precision and recall (0 to 1, at IoU 0.50) of the boxes that score at least `box_threshold`."""
        correct = self.correct[self.scores >= box_threshold]
        precision = float(correct.mean()) if len(correct) else 1.0
        return precision, float(correct.sum()) / max(1, self.people)


def evaluate_boxes(document: dict[str, Any], results: Sequence[dict[str, Any]]) -> BoxMetrics:
    """Compare boxes with the annotations of a COCO file whose images have every person labeled.

    results: entries with image_id, category_id, bbox (x, y, width, height in image pixels) and score. A missing or
    impossible area of an annotation is replaced by 0.53 of its box.

    Raises:
        AnnotationError: input that hotcoco cannot read, or no annotated person. MissingDependencyError: no hotcoco.
    """
    try:
        truth = {
            "images": [{"id": image["id"]} for image in document["images"]],
            "categories": [{"id": entry["id"], "name": entry["name"]} for entry in document["categories"]],
            "annotations": [_person(index, entry) for index, entry in enumerate(document["annotations"], 1)],
        }
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise AnnotationError(f"COCO evaluation cannot read the annotations or results: {error}") from error
    evaluation = run_hotcoco(truth, results, "bbox")
    if evaluation.stats[0] < 0:
        raise AnnotationError("no person to evaluate: all annotations are crowds, or there are none")
    # One entry per image for people of all sizes; its lists are by IoU threshold, 0.50 first.
    images: list[Any] = [
        entry for entry in evaluation.evalImgs if entry and entry["aRng"] == evaluation.params.areaRng[0]
    ]
    counted = [~np.array(entry["dtIgnore"][0], bool) for entry in images]

    def concatenate(values: list[Any]) -> NDArray[np.float64]:
        per_image = [np.array(of_image)[mask] for of_image, mask in zip(values, counted, strict=True)]
        return np.concatenate([np.zeros(0), *per_image])

    return BoxMetrics(
        ap=float(evaluation.stats[0]),
        ap50=float(evaluation.stats[1]),
        scores=concatenate([entry["dtScores"] for entry in images]),
        correct=concatenate([entry["dtMatched"][0] for entry in images]).astype(bool),
        people=sum(sum(entry["gtInDenominator"]) for entry in images),
    )


def _person(index: int, entry: dict[str, Any]) -> dict[str, Any]:
    box = entry["bbox"]
    area = usable_area(entry.get("area"), box)
    return {
        "id": index,
        "image_id": entry["image_id"],
        "category_id": entry["category_id"],
        "bbox": box,
        "area": AREA_PER_BOX * box[2] * box[3] if area is None else area,
        "iscrowd": int(bool(is_crowd(entry.get("iscrowd")))),
    }


def complete_images(document: dict[str, Any]) -> dict[Any, dict[str, Any]]:
    """The images of a COCO file with `annotations_complete` (every person is labeled), by id.

    Raises:
        AnnotationError: there is no such image, or no annotated person in one.
    """
    try:
        complete = {image["id"]: image for image in document["images"] if image.get("annotations_complete")}
        people = any(entry["image_id"] in complete for entry in document["annotations"])
    except (KeyError, TypeError, AttributeError) as error:
        raise AnnotationError(f"not COCO annotations with boxes: {error!r}") from error
    if not complete:
        raise AnnotationError(
            "no image has annotations_complete: true; precision needs images in which every person is labeled"
        )
    if not people:
        raise AnnotationError("no person is annotated in the images with annotations_complete: true")
    return complete


def measure_detector(detector: Detector, document: dict[str, Any], images: Path) -> BoxMetrics:
    """The metrics of a detector on the images of a COCO file that have `annotations_complete`.

    The detector should also return boxes with low scores.

    Raises:
        AnnotationError: as `complete_images` and `evaluate_boxes`. ImageError: an image cannot be read.
    """
    complete = complete_images(document)
    results = [
        {"image_id": image_id, "category_id": 1, "bbox": box.tolist(), "score": float(score)}
        for image_id, image in complete.items()
        for box, score in zip(*detector(read_image(images / image["file_name"])), strict=True)
    ]
    entries = [entry for entry in document["annotations"] if entry["image_id"] in complete]
    return evaluate_boxes(document | {"images": list(complete.values()), "annotations": entries}, results)
