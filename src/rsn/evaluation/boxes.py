"""COCO evaluation of people boxes: how well a detector's agree with the annotated ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsn.errors import AnnotationError
from rsn.extras import require
from rsn.images import read_image
from rsn.inference.estimator import Detector


@dataclass(frozen=True)
class BoxScores:
    """Average precision over overlaps (IoU) of 0.50, 0.55 ... 0.95, and at 0.50; each from 0 to 1."""

    ap: float
    ap50: float


def evaluate_boxes(document: dict[str, Any], results: Sequence[dict[str, Any]]) -> BoxScores:
    """Compare results with the annotations of a COCO file; only pictures where everybody is labelled make sense.

    results: entries with image_id, category_id, bbox (x, y, width, height in image pixels) and score.

    Raises:
        AnnotationError: what the library cannot count. DeviceError: hotcoco is not installed.
    """
    require("hotcoco", extra="train", for_what="COCO evaluation")
    import hotcoco

    fields = ("id", "image_id", "category_id", "bbox", "area", "iscrowd")
    try:
        truth = hotcoco.COCO(
            {
                "images": [{"id": image["id"]} for image in document["images"]],
                "categories": [
                    {"id": category["id"], "name": category["name"]} for category in document["categories"]
                ],
                "annotations": [
                    {field: entry[field] for field in fields} for entry in document["annotations"]
                ],
            }
        )
        evaluation = hotcoco.COCOeval(truth, truth.load_res(list(results)), "bbox")
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise AnnotationError(f"not what COCO evaluation can read: {error}") from error
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summary_lines()  # makes the figures as summarize() does, without printing them
    return BoxScores(*(float(figure) for figure in evaluation.stats[:2]))


def measure_detector(detector: Detector, document: dict[str, Any], images: Path) -> BoxScores:
    """The figures of a detector on the pictures of a COCO file in which everybody is labelled.

    Those are the ones whose `annotations_complete` is true. The detector should give boxes of low scores too.

    Raises:
        AnnotationError: there is no such picture. ImageError: one cannot be read.
    """
    complete = {image["id"]: image for image in document["images"] if image.get("annotations_complete")}
    if not complete:
        raise AnnotationError(
            "no picture says annotations_complete, so nobody can tell who was found in vain"
        )
    results = [
        {"image_id": number, "category_id": 1, "bbox": box.tolist(), "score": float(score)}
        for number, image in complete.items()
        for box, score in zip(*detector(read_image(images / image["file_name"])), strict=True)
    ]
    entries = [entry for entry in document["annotations"] if entry["image_id"] in complete]
    return evaluate_boxes(document | {"images": list(complete.values()), "annotations": entries}, results)
