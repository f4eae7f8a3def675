"""COCO metrics per body part: which keypoints a model finds well."""

from collections.abc import Mapping, Sequence

from rsn.evaluation.coco import (
    UNDEFINED_METRICS,
    CocoMetrics,
    Entry,
    GroundTruth,
    evaluate_selected,
    format_table,
    percent,
)
from rsn.skeletons import Skeleton

HEAD = ("head", "nose", "eye", "ear", "mouth", "forehead", "chin")


def body_parts(skeleton: Skeleton) -> dict[str, tuple[int, ...]]:
    """Keypoint indices of each part: left and right together, and the face's keypoints as "head"."""
    parts: dict[str, tuple[int, ...]] = {}
    for index, keypoint in enumerate(skeleton.normalized_names):
        name = keypoint.removeprefix("left_").removeprefix("right_")
        part = "head" if name.startswith(HEAD) else name if name == keypoint else f"{name}s"
        parts[part] = (*parts.get(part, ()), index)
    return parts


def evaluate_parts(
    annotations: Entry | GroundTruth, results: Sequence[Entry], skeleton: Skeleton
) -> dict[str, CocoMetrics]:
    """The COCO metrics of each part: OKS over its keypoints alone, as if the annotations had no others.

    A person with no labeled keypoint of a part is ignored for it, together with the results that match this person.
    All metrics of a part that no person has are -1. Arguments and errors: as `evaluate_keypoints`.
    """
    truth = annotations if isinstance(annotations, GroundTruth) else GroundTruth.from_coco(annotations, skeleton)
    selected, skipped = truth.select(results)
    metrics = {}
    for part, keypoints in body_parts(skeleton).items():
        of_part = truth.with_only(keypoints)
        metrics[part] = UNDEFINED_METRICS if of_part.is_empty else evaluate_selected(of_part, selected, skipped)
    return metrics


def parts_table(metrics: Mapping[str, CocoMetrics]) -> str:
    """A row per part or group, in percent; "-" for a metric that is undefined."""
    rows = [["%", "AP", "@.50", "@.75", "medium", "large", "AR"]]
    for part, m in metrics.items():
        values = (m.ap, m.ap50, m.ap75, m.ap_medium, m.ap_large, m.ar)
        rows.append([part, *map(percent, values)])
    return format_table(rows)
