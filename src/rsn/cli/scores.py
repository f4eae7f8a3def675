"""The figures of results: printed, and as what goes into a JSON file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rsn.datasets.coco import for_evaluation
from rsn.evaluation.coco import evaluate_keypoints
from rsn.evaluation.parts import evaluate_parts, parts_table
from rsn.skeletons import Skeleton, with_sigmas


def measure(
    document: Any, annotations: Path, results: Sequence[dict[str, Any]], skeleton: Skeleton, *, parts: bool
) -> dict[str, Any]:
    """Print the COCO figures of results, and with `parts` those of each part of the body; returns them by name.

    What the annotations or the skeleton lack is derived or assumed, and an RsnWarning says so.
    """
    body = with_sigmas(skeleton)
    document = for_evaluation(document, str(annotations), body)
    scores = evaluate_keypoints(document, results, body)
    print(scores.table())
    if not parts:
        return {"figures": scores.as_dict()}
    by_part = evaluate_parts(document, results, body)
    print(f"\n{parts_table(by_part)}")
    return {
        "figures": scores.as_dict(),
        "parts": {part: part_scores.as_dict() for part, part_scores in by_part.items()},
    }
