"""The loss: every level of every stage against its own target, the finest with hard-joint mining.

MSPN paper, section 3.3 (coarse-to-fine supervision) and CPN's online hard keypoint mining (OHKM).
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from rsn.skeletons import NOT_ANNOTATED

COARSE_WEIGHT = 0.25

# Who is taught what on the coarse levels (the finest level with OHKM is the same for both):
# "rsn": joints marked visible are drawn; occluded and absent ones are pushed to an empty map.
# "mmpose": occluded joints are drawn too, absent ones are left out.
Convention = Literal["rsn", "mmpose"]


def pose_loss(
    predictions: Sequence[Sequence[Tensor]],
    targets: Tensor,
    visibility: Tensor,
    *,
    convention: Convention = "rsn",
    hard_joints: int | None = 8,
    coarse_to_fine: bool = True,
) -> Tensor:
    """The sum of `pose_loss_terms`, a scalar."""
    return pose_loss_terms(
        predictions,
        targets,
        visibility,
        convention=convention,
        hard_joints=hard_joints,
        coarse_to_fine=coarse_to_fine,
    ).sum()


def pose_loss_terms(
    predictions: Sequence[Sequence[Tensor]],
    targets: Tensor,
    visibility: Tensor,
    *,
    convention: Convention = "rsn",
    hard_joints: int | None = 8,
    coarse_to_fine: bool = True,
) -> Tensor:
    """One mean squared error for each stage and level.

    Args:
        predictions: stages of levels, coarse to fine, each (N, K, h, w): `PoseNetwork.heatmaps`.
        targets: (N, 5, K, h, w), widest Gaussian first: `heatmaps.encode`.
        visibility: (N, K): 2 visible, 1 occluded, 0 absent, -1 not annotated in this set (never part of the loss).
        convention: see `Convention`.
        hard_joints: the finest level counts a person's worst joints only, this many; None counts all.
        coarse_to_fine: the last stage's targets are one kernel narrower than the other stages'.

    Returns:
        (stages, levels). Coarse levels are weighted by 1/4; stages are not averaged.
    """
    narrower = [int(coarse_to_fine and stage == len(predictions) - 1) for stage in range(len(predictions))]
    drawn, counted = _coarse_masks(visibility, convention)
    present = (visibility > 0).to(targets.dtype)
    rows = []
    for levels, shift in zip(predictions, narrower, strict=True):
        finest = len(levels) - 1
        row = [
            COARSE_WEIGHT * _mean_error(levels[level], targets[:, level + shift], drawn, counted)
            for level in range(finest)
        ]
        if hard_joints is None:
            row.append(_mean_error(levels[finest], targets[:, finest + shift], drawn, counted))
        else:
            row.append(_hard_joint_error(levels[finest], targets[:, finest + shift], present, hard_joints))
        rows.append(torch.stack(row))
    return torch.stack(rows)


def _coarse_masks(visibility: Tensor, convention: Convention) -> tuple[Tensor, Tensor]:
    """(N, K) booleans: whose target is drawn, and whose error is counted."""
    if convention == "mmpose":
        present = visibility > 0
        return present, present
    return visibility > 1, visibility > NOT_ANNOTATED


def _mean_error(prediction: Tensor, target: Tensor, drawn: Tensor, counted: Tensor) -> Tensor:
    error = (prediction - target * drawn[..., None, None]).square()
    return (error.mean((-2, -1)) * counted).mean()


def _hard_joint_error(prediction: Tensor, target: Tensor, present: Tensor, hard_joints: int) -> Tensor:
    errors = (prediction - target).square().mean((-2, -1)) * present
    count = min(hard_joints, errors.shape[1])
    return errors.topk(count, dim=1).values.mean()
