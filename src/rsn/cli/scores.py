"""The figures of results: printed, and as what goes into a JSON file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rsn.cli.progress import say
from rsn.evaluation.coco import GroundTruth, evaluate_selected
from rsn.evaluation.parts import evaluate_parts, parts_table
from rsn.inference.box_checks import reasons
from rsn.skeletons import Skeleton, with_sigmas


def ground_truth(document: Any, annotations: Path, skeleton: Skeleton) -> GroundTruth:
    """The people to compare with.

    What the annotations or the skeleton lack is derived or assumed, and an RsnWarning says so.
    """
    return GroundTruth.of(document, with_sigmas(skeleton), str(annotations))


def measure(truth: GroundTruth, results: Sequence[dict[str, Any]], *, parts: bool) -> dict[str, Any]:
    """Print the COCO figures of results, and with `parts` those of each part of the body; returns them by name.

    What of the results cannot be evaluated is left out, and how many is said.
    """
    selected, left_out = truth.select(results)
    if left_out:
        say(f"results left out: {reasons(left_out)}")
    scores = evaluate_selected(truth, selected, left_out)
    print(scores.table())
    figures: dict[str, Any] = {"figures": scores.as_dict()}
    if left_out:
        figures["results_left_out"] = dict(left_out)
    if parts:
        by_part = evaluate_parts(truth, results, truth.skeleton)
        print(f"\n{parts_table(by_part)}")
        figures["parts"] = {part: part_scores.as_dict() for part, part_scores in by_part.items()}
    return figures
