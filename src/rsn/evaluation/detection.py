"""COCO evaluation of people boxes: how well a detector's agree with the annotated ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsn.data.box_values import AREA_OF_BOX, usable_area
from rsn.data.records import is_crowd
from rsn.detection.postprocessing import Detector
from rsn.errors import AnnotationError
from rsn.evaluation.coco import run_hotcoco
from rsn.io.images import read_image


@dataclass(frozen=True, eq=False)
class BoxMetrics:
    """How well boxes agree.

    ap, ap50: average precision over overlaps (IoU) of 0.50, 0.55 ... 0.95, and at 0.50; each from 0 to 1.
    scores, right: (N,) of the boxes that count, and which are somebody's at an overlap of 0.50. people: annotated.
    """

    ap: float
    ap50: float
    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    people: int

    def precision_and_recall(self, box_threshold: float) -> tuple[float, float]:
        """Which share of the boxes with such a score is somebody's, and which share of people has one; 0 to 1."""
        right = self.right[self.scores >= box_threshold]
        return float(right.mean()) if len(right) else 1.0, float(right.sum()) / max(1, self.people)


def evaluate_boxes(document: dict[str, Any], results: Sequence[dict[str, Any]]) -> BoxMetrics:
    """Compare results with the annotations of a COCO file; only images where everybody is labeled make sense.

    results: entries with image_id, category_id, bbox (x, y, width, height in image pixels) and score. An area of the
    annotations that is missing or cannot be right is 0.53 of the box.

    Raises:
        AnnotationError: what the library cannot count. MissingDependencyError: hotcoco is not installed.
    """
    try:
        truth = {
            "images": [{"id": image["id"]} for image in document["images"]],
            "categories": [{"id": entry["id"], "name": entry["name"]} for entry in document["categories"]],
            "annotations": [
                _person(number, entry) for number, entry in enumerate(document["annotations"], 1)
            ],
        }
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise AnnotationError(f"not what COCO evaluation can read: {error}") from error
    evaluation = run_hotcoco(truth, results, "bbox")
    if evaluation.stats[0] < 0:
        raise AnnotationError(
            "nobody is annotated who is no crowd, so there is nothing to compare boxes with"
        )
    # One entry an image; its lists are by overlap, of which 0.50 is the first.
    images: list[Any] = [
        entry for entry in evaluation.evalImgs if entry and entry["aRng"] == evaluation.params.areaRng[0]
    ]
    counts = [~np.array(entry["dtIgnore"][0], bool) for entry in images]
    return BoxMetrics(
        ap=float(evaluation.stats[0]),
        ap50=float(evaluation.stats[1]),
        scores=_joined([entry["dtScores"] for entry in images], counts),
        right=_joined([entry["dtMatched"][0] for entry in images], counts).astype(bool),
        people=sum(sum(entry["gtInDenominator"]) for entry in images),
    )


def _person(number: int, entry: dict[str, Any]) -> dict[str, Any]:
    box = entry["bbox"]
    area = usable_area(entry.get("area"), box)
    return {
        "id": number,
        "image_id": entry["image_id"],
        "category_id": entry["category_id"],
        "bbox": box,
        "area": AREA_OF_BOX * box[2] * box[3] if area is None else area,
        "iscrowd": int(bool(is_crowd(entry.get("iscrowd")))),
    }


def _joined(values: Sequence[Sequence[float]], chosen: Sequence[NDArray[np.bool_]]) -> NDArray[np.float64]:
    """Of each image the chosen values, one after the other."""
    return np.concatenate(
        [np.zeros(0), *(np.array(of)[where] for of, where in zip(values, chosen, strict=True))]
    )


def complete_images(document: dict[str, Any]) -> dict[Any, dict[str, Any]]:
    """The images of a COCO file in which everybody is labeled, by id.

    Raises:
        AnnotationError: there is none, or nobody in them.
    """
    try:
        complete = {image["id"]: image for image in document["images"] if image.get("annotations_complete")}
        people = any(entry["image_id"] in complete for entry in document["annotations"])
    except (KeyError, TypeError, AttributeError) as error:
        raise AnnotationError(f"not COCO annotations with boxes: {error!r}") from error
    if not complete:
        raise AnnotationError("no image says annotations_complete, so nobody can tell who was found in vain")
    if not people:
        raise AnnotationError("nobody is annotated in the images that say annotations_complete")
    return complete


def measure_detector(detector: Detector, document: dict[str, Any], images: Path) -> BoxMetrics:
    """The metrics of a detector on the images of a COCO file in which everybody is labeled.

    Those are the ones whose `annotations_complete` is true. The detector should give boxes of low scores too.

    Raises:
        AnnotationError: as `complete_images` and `evaluate_boxes`. ImageError: one cannot be read.
    """
    complete = complete_images(document)
    results = [
        {"image_id": number, "category_id": 1, "bbox": box.tolist(), "score": float(score)}
        for number, image in complete.items()
        for box, score in zip(*detector(read_image(images / image["file_name"])), strict=True)
    ]
    entries = [entry for entry in document["annotations"] if entry["image_id"] in complete]
    return evaluate_boxes(document | {"images": list(complete.values()), "annotations": entries}, results)
