"""The loss: every level of every stage against its own target, the finest with hard-keypoint mining.

MSPN paper, section 3.3 (coarse-to-fine supervision) and CPN's online hard keypoint mining (OHKM).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rsn.skeletons import NOT_ANNOTATED

COARSE_LEVEL_WEIGHT = 0.25

# Who is taught what, but for the finest level with hard-keypoint mining, which always leaves absent keypoints out:
# "rsn": keypoints marked visible are drawn; occluded and absent ones are pushed to an empty map.
# "mmpose": occluded keypoints are drawn too, absent ones are left out.
# "empty": occluded keypoints are drawn too, absent ones are pushed to an empty map. Ours: a network learns that legs
#     outside the image are nowhere, and still finds the occluded keypoints that evaluation asks for.
TargetWeighting = Literal["rsn", "mmpose", "empty"]


@dataclass(frozen=True)
class PoseLoss:
    """How predicted heatmaps are compared with targets; called like a function.

    target_weighting: see `TargetWeighting`.
    ohkm_topk: the finest level counts a person's worst keypoints only, this many; None counts all.
    coarse_to_fine: the last stage's targets are one kernel narrower than the other stages'.
    """

    target_weighting: TargetWeighting = "rsn"
    ohkm_topk: int | None = 8
    coarse_to_fine: bool = True

    def __post_init__(self) -> None:
        if self.ohkm_topk is not None and self.ohkm_topk < 1:
            raise ValueError(
                f"Invalid ohkm_topk: expected at least 1, or null to count all, got {self.ohkm_topk}"
            )

    def __call__(
        self, predictions: Sequence[Sequence[Tensor]], targets: Tensor, visibility: Tensor
    ) -> Tensor:
        """The sum of all `terms`, a scalar. The reference does not average over stages either."""
        return self.terms(predictions, targets, visibility).sum()

    def terms(self, predictions: Sequence[Sequence[Tensor]], targets: Tensor, visibility: Tensor) -> Tensor:
        """One mean squared error for each stage and level, coarse levels weighted by 1/4.

        Args:
            predictions: stages of levels, coarse to fine, each (N, K, h, w): `PoseNetwork.heatmaps`.
            targets: (N, 5, K, h, w), widest Gaussian first: `heatmaps.encode`.
            visibility: (N, K): 2 visible, 1 occluded, 0 absent, -1 not annotated in this set (never taught).

        Returns:
            (stages, levels).
        """
        last = len(predictions) - 1
        rows = []
        for stage, levels in enumerate(predictions):
            first = int(self.coarse_to_fine and stage == last)
            rows.append(self._stage_terms(levels, targets[:, first : first + len(levels)], visibility))
        return torch.stack(rows)

    def _stage_terms(self, levels: Sequence[Tensor], targets: Tensor, visibility: Tensor) -> Tensor:
        drawn, counted = _masks(visibility, self.target_weighting)
        errors = [_mean_error(level, targets[:, i], drawn, counted) for i, level in enumerate(levels[:-1])]
        if self.ohkm_topk is None:
            finest = _mean_error(levels[-1], targets[:, -1], drawn, counted)
        else:
            finest = _ohkm_error(levels[-1], targets[:, -1], visibility > 0, self.ohkm_topk)
        return torch.stack([*(COARSE_LEVEL_WEIGHT * error for error in errors), finest])


def _masks(visibility: Tensor, target_weighting: TargetWeighting) -> tuple[Tensor, Tensor]:
    """(N, K) booleans: whose target is drawn, and whose error is counted."""
    present, annotated = visibility > 0, visibility > NOT_ANNOTATED
    if target_weighting == "rsn":
        return visibility > 1, annotated
    return present, present if target_weighting == "mmpose" else annotated


def _mean_error(prediction: Tensor, target: Tensor, drawn: Tensor, counted: Tensor) -> Tensor:
    return (_keypoint_errors(prediction, target, drawn) * counted).mean()


def _ohkm_error(prediction: Tensor, target: Tensor, present: Tensor, ohkm_topk: int) -> Tensor:
    errors = _keypoint_errors(prediction, target, present) * present
    count = min(ohkm_topk, errors.shape[1])
    return errors.topk(count, dim=1).values.mean()


def _keypoint_errors(prediction: Tensor, target: Tensor, drawn: Tensor) -> Tensor:
    """Mean squared error of each keypoint map, (N, K), against the target, or an empty map where it is not drawn."""
    return (prediction - target * drawn[..., None, None]).square().mean((-2, -1))
