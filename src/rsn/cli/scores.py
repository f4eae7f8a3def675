"""The figures of results: printed, and as what goes into a JSON file."""

from collections.abc import Sequence
from typing import Any

from rsn.evaluation.coco import evaluate_keypoints
from rsn.evaluation.parts import evaluate_parts, parts_table
from rsn.skeletons import Skeleton


def measure(
    document: Any, results: Sequence[dict[str, Any]], skeleton: Skeleton, *, parts: bool
) -> dict[str, Any]:
    """Print the COCO figures of results, and with `parts` those of each part of the body; returns them by name."""
    scores = evaluate_keypoints(document, results, skeleton)
    print(scores.table())
    if not parts:
        return {"figures": scores.as_dict()}
    by_part = evaluate_parts(document, results, skeleton)
    print(f"\n{parts_table(by_part)}")
    return {
        "figures": scores.as_dict(),
        "parts": {part: part_scores.as_dict() for part, part_scores in by_part.items()},
    }
