"""COCO figures by part of the body: which joints a model finds well."""

import warnings
from collections.abc import Sequence
from typing import Any

from rsn.errors import RsnWarning
from rsn.evaluation.coco import (
    NOBODY,
    Entry,
    GroundTruth,
    KeypointScores,
    evaluate_selected,
    percent,
)
from rsn.inference.box_checks import reasons
from rsn.skeletons import Skeleton

FACE = ("nose", "eye", "ear", "mouth", "forehead", "chin")


def body_parts(skeleton: Skeleton) -> dict[str, tuple[int, ...]]:
    """Joint indices of each part: left and right of one name together, and what is in the face as the head."""
    parts: dict[str, tuple[int, ...]] = {}
    for index, joint in enumerate(skeleton.plain_joints):
        one = joint.removeprefix("left_").removeprefix("right_")
        part = "head" if one.startswith((*FACE, "head")) else one if one == joint else f"{one}s"
        parts[part] = (*parts.get(part, ()), index)
    return parts


def evaluate_parts(
    annotations: Entry | GroundTruth, results: Sequence[Entry], skeleton: Skeleton
) -> dict[str, KeypointScores]:
    """The COCO figures of each part: OKS over its joints alone, as if the annotations had no others.

    People of whom no joint of a part is marked count neither as found nor as missed; as ever in COCO, who is found
    there is told by whether the joints, all of them, lie in or near the box. Arguments and errors as in
    `evaluate_keypoints`; `annotations` is what the file holds. Figures are -1 for a part that nobody has.
    """
    truth = annotations if isinstance(annotations, GroundTruth) else GroundTruth.of(annotations, skeleton)
    selected, left_out = truth.select(results)
    figures = {}
    for part, joints in body_parts(skeleton).items():
        only = truth.with_only(joints)
        nobody = KeypointScores(*[NOBODY] * 10)
        figures[part] = nobody if only.is_empty else evaluate_selected(only, selected, left_out)
    return figures


def parts_table(figures: dict[str, KeypointScores]) -> str:
    """A row for each part, in percent; a dash where there is nobody to tell it from."""
    rows = [["%", "AP", "@.50", "@.75", "medium", "large", "AR"]]
    for part, scores in figures.items():
        shown = (scores.ap, scores.ap50, scores.ap75, scores.ap_medium, scores.ap_large, scores.ar)
        rows.append([part, *map(percent, shown)])
    width = max(len(row[0]) for row in rows) + 2
    return "\n".join(f"{name:<{width}}" + "".join(f"{cell:>8}" for cell in cells) for name, *cells in rows)


def measure(truth: GroundTruth, results: Sequence[Entry], *, parts: bool) -> tuple[str, dict[str, Any]]:
    """The COCO metrics of results, with `parts` of each part of the body too: as tables, and for a JSON file.

    Raises and warns as `evaluate_keypoints`.
    """
    selected, left_out = truth.select(results)
    if left_out:
        warnings.warn(f"results left out: {reasons(left_out)}", RsnWarning, stacklevel=2)
    scores = evaluate_selected(truth, selected, left_out)
    tables, metrics = [scores.table()], dict[str, Any](figures=scores.as_dict())
    if left_out:
        metrics["results_left_out"] = dict(left_out)
    if parts:
        by_part = evaluate_parts(truth, results, truth.skeleton)
        tables.append(parts_table(by_part))
        metrics["parts"] = {part: of_part.as_dict() for part, of_part in by_part.items()}
    return "\n\n".join(tables), metrics
