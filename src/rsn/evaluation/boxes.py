"""COCO evaluation of people boxes: how well a detector's agree with the annotated ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rsn.errors import AnnotationError
from rsn.extras import require


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
