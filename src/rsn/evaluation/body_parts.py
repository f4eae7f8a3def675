"""COCO metrics by part of the body: which keypoints a model finds well."""

import warnings
from collections.abc import Sequence
from typing import Any

from rsn.errors import RsnWarning
from rsn.evaluation.coco import (
    NOBODY,
    CocoMetrics,
    Entry,
    GroundTruth,
    evaluate_selected,
    percent,
)
from rsn.inference.box_checks import reasons
from rsn.skeletons import Skeleton

FACE = ("nose", "eye", "ear", "mouth", "forehead", "chin")


def body_parts(skeleton: Skeleton) -> dict[str, tuple[int, ...]]:
    """Keypoint indices of each part: left and right of one name together, and what is in the face as the head."""
    parts: dict[str, tuple[int, ...]] = {}
    for index, keypoint in enumerate(skeleton.normalized_names):
        one = keypoint.removeprefix("left_").removeprefix("right_")
        part = "head" if one.startswith((*FACE, "head")) else one if one == keypoint else f"{one}s"
        parts[part] = (*parts.get(part, ()), index)
    return parts


def evaluate_parts(
    annotations: Entry | GroundTruth, results: Sequence[Entry], skeleton: Skeleton
) -> dict[str, CocoMetrics]:
    """The COCO metrics of each part: OKS over its keypoints alone, as if the annotations had no others.

    People of whom no keypoint of a part is marked count neither as found nor as missed; as ever in COCO, who is found
    there is told by whether the keypoints, all of them, lie in or near the box. Arguments and errors as in
    `evaluate_keypoints`; `annotations` is what the file holds. Metrics are -1 for a part that nobody has.
    """
    truth = (
        annotations if isinstance(annotations, GroundTruth) else GroundTruth.from_coco(annotations, skeleton)
    )
    selected, skipped = truth.select(results)
    metrics = {}
    for part, keypoints in body_parts(skeleton).items():
        only = truth.with_only(keypoints)
        nobody = CocoMetrics(*[NOBODY] * 10)
        metrics[part] = nobody if only.is_empty else evaluate_selected(only, selected, skipped)
    return metrics


def parts_table(metrics: dict[str, CocoMetrics]) -> str:
    """A row for each part, in percent; a dash where there is nobody to tell it from."""
    rows = [["%", "AP", "@.50", "@.75", "medium", "large", "AR"]]
    for part, scores in metrics.items():
        shown = (scores.ap, scores.ap50, scores.ap75, scores.ap_medium, scores.ap_large, scores.ar)
        rows.append([part, *map(percent, shown)])
    width = max(len(row[0]) for row in rows) + 2
    return "\n".join(f"{name:<{width}}" + "".join(f"{cell:>8}" for cell in cells) for name, *cells in rows)


def measure(truth: GroundTruth, results: Sequence[Entry], *, parts: bool) -> tuple[str, dict[str, Any]]:
    """The COCO metrics of results, with `parts` of each part of the body too: as tables, and for a JSON file.

    Raises and warns as `evaluate_keypoints`.
    """
    selected, skipped = truth.select(results)
    if skipped:
        warnings.warn(f"results left out: {reasons(skipped)}", RsnWarning, stacklevel=2)
    scores = evaluate_selected(truth, selected, skipped)
    tables, metrics = [scores.table()], dict[str, Any](metrics=scores.as_dict())
    if skipped:
        metrics["results_left_out"] = dict(skipped)
    if parts:
        by_part = evaluate_parts(truth, results, truth.skeleton)
        tables.append(parts_table(by_part))
        metrics["parts"] = {part: of_part.as_dict() for part, of_part in by_part.items()}
    return "\n\n".join(tables), metrics
