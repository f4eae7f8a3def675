"""The pose loss: every level of every stage has its own targets, the finest with online hard keypoint mining (OHKM).

MSPN paper, section 3.3 (coarse-to-fine supervision), and CPN (OHKM).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rsn.skeletons import NOT_ANNOTATED

COARSE_LEVEL_WEIGHT = 0.25

# What keypoints are trained with, except on the finest level with OHKM, which always leaves absent keypoints out:
# "rsn": visible ones with their targets, occluded and absent ones with an empty map.
# "mmpose": visible and occluded ones with their targets, absent ones not at all.
# "empty": visible and occluded ones with their targets, absent ones with an empty map, so that a network learns that
#     legs outside the image are nowhere, and still finds occluded keypoints, which the evaluation counts.
TargetWeighting = Literal["rsn", "mmpose", "empty"]


@dataclass(frozen=True)
class PoseLoss:
    """Compares predicted heatmaps with targets; called like a function.

    target_weighting: see `TargetWeighting`.
    ohkm_topk: number of keypoints of a person, those with the largest errors, that count on the finest level; None
        for all.
    coarse_to_fine: the targets of the last stage are one kernel narrower than those of the other stages.
    """

    target_weighting: TargetWeighting = "rsn"
    ohkm_topk: int | None = 8
    coarse_to_fine: bool = True

    def __post_init__(self) -> None:
        if self.ohkm_topk is not None and self.ohkm_topk < 1:
            raise ValueError(f"Invalid ohkm_topk: expected at least 1, or null to count all, got {self.ohkm_topk}")

    def __call__(self, predictions: Sequence[Sequence[Tensor]], targets: Tensor, visibility: Tensor) -> Tensor:
        """The sum of all `terms`, a scalar. The reference does not average over stages either."""
        return self.terms(predictions, targets, visibility).sum()

    def terms(self, predictions: Sequence[Sequence[Tensor]], targets: Tensor, visibility: Tensor) -> Tensor:
        """One mean squared error per stage and level; those of coarse levels are multiplied by 1/4.

        Args:
            predictions: stages of levels, coarse to fine, each (N, K, h, w), such as `PoseNetwork.heatmaps`.
            targets: (N, L, K, h, w), coarse to fine, one more than the levels: see `HeatmapCodec.encode`.
            visibility: (N, K): 2 visible, 1 occluded, 0 absent, -1 not annotated (never trained).

        Returns:
            (stages, levels).
        """
        rows = []
        for number, levels in enumerate(predictions, start=1):
            narrow = self.coarse_to_fine and number == len(predictions)
            end = max(targets.shape[1] - (not narrow), len(levels))
            rows.append(self._stage_terms(levels, targets[:, end - len(levels) : end], visibility))
        return torch.stack(rows)

    def _stage_terms(self, levels: Sequence[Tensor], targets: Tensor, visibility: Tensor) -> Tensor:
        drawn, counted = _masks(visibility, self.target_weighting)
        errors = [_keypoint_errors(level, targets[:, i], drawn) * counted for i, level in enumerate(levels)]
        terms = [COARSE_LEVEL_WEIGHT * error.mean() for error in errors[:-1]]
        finest = errors[-1]
        if self.ohkm_topk is not None:
            present = visibility > 0
            finest = _keypoint_errors(levels[-1], targets[:, -1], present) * present
            finest = finest.topk(min(self.ohkm_topk, finest.shape[1]), dim=1).values
        return torch.stack([*terms, finest.mean()])


def _masks(visibility: Tensor, target_weighting: TargetWeighting) -> tuple[Tensor, Tensor]:
    """(N, K) booleans: keypoints whose target is drawn, and keypoints whose error counts."""
    present, annotated = visibility > 0, visibility > NOT_ANNOTATED
    if target_weighting == "rsn":
        return visibility > 1, annotated
    return present, present if target_weighting == "mmpose" else annotated


def _keypoint_errors(prediction: Tensor, target: Tensor, drawn: Tensor) -> Tensor:
    """Mean squared error of each keypoint map, (N, K), against the target, or an empty map where it is not drawn."""
    return (prediction - target * drawn[..., None, None]).square().mean((-2, -1))
