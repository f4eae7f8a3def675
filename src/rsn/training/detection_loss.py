"""The loss of the person detector: where the centers are, and how well the boxes fit."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from rsn.codecs.box import BoxTargets, corners_of
from rsn.codecs.heatmap import STRIDE
from rsn.training.losses import COARSE_LEVEL_WEIGHT

KNOWN_REGION_SCALE = 1.5  # times the box of a labeled person: nearby, other people would have been labeled, too


@dataclass(frozen=True)
class BoxLoss:
    """Called with predictions of one stage; the finest level counts fully, the coarser ones a quarter each.

    box_weight: weight of the box loss against the center loss.
    """

    box_weight: float = 4.0

    def __call__(self, predictions: Sequence[Sequence[Tensor]], targets: BoxTargets, negatives: Tensor) -> Tensor:
        """The loss of a batch per person, a scalar.

        predictions: one stage of levels, coarse to fine, each (N, 5, h, w). negatives: (N, h, w), the weight of
        detections where no person is labeled, see `negative_weight`.
        """
        (levels,) = predictions
        people = (targets.center_heatmap == 1).sum().clamp(min=1)
        terms = [self._level_loss(level.float(), targets, negatives) / people for level in levels]
        return COARSE_LEVEL_WEIGHT * sum(terms[:-1], start=torch.zeros_like(terms[-1])) + terms[-1]

    def _level_loss(self, maps: Tensor, targets: BoxTargets, negatives: Tensor) -> Tensor:
        box_loss = (1 - generalized_iou(corners_of(maps), targets.corners)) * targets.weights
        return center_loss(maps[:, 0], targets.center_heatmap, negatives) + self.box_weight * box_loss.sum()


def center_loss(logits: Tensor, center_heatmap: Tensor, negatives: Tensor) -> Tensor:
    """The focal loss for points (Law and Deng, *CornerNet*, ECCV 2018), summed over (N, h, w).

    Cells near a center count less the nearer they are; cells without a person count as `negatives` says.
    """
    probability = logits.sigmoid()
    positive = -logsigmoid(logits) * (1 - probability).square()
    negative = -logsigmoid(-logits) * probability.square() * (1 - center_heatmap).pow(4) * negatives
    return torch.where(center_heatmap == 1, positive, negative).sum()


def generalized_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Generalized intersection over union of boxes (..., 4), from -1 to 1 (Rezatofighi et al., CVPR 2019)."""
    low, high = torch.minimum(boxes, others), torch.maximum(boxes, others)
    intersection, hull = _area(high[..., :2], low[..., 2:]), _area(low[..., :2], high[..., 2:])
    union = _area(boxes[..., :2], boxes[..., 2:]) + _area(others[..., :2], others[..., 2:]) - intersection
    return intersection / union.clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)


def negative_weight(
    corners: Tensor, present: Tensor, ignored: Tensor, unlabeled: Tensor, size: tuple[int, int]
) -> Tensor:
    """The weight of each cell where no person is labeled: (N, h, w).

    corners: (N, M, 4) of people in input pixels, `present` (N, M). ignored: (N, R, 4), regions that never count, such
    as crowds. unlabeled: (N,), the weight away from labeled people: 1 in images where everyone is labeled.
    """
    centers, half = (corners[..., :2] + corners[..., 2:]) / 2, (corners[..., 2:] - corners[..., :2]) / 2
    around = torch.cat([centers - KNOWN_REGION_SCALE * half, centers + KNOWN_REGION_SCALE * half], -1)
    known = (_inside(around, size) & present[..., None, None]).any(1)
    weights = torch.where(known, 1.0, unlabeled[:, None, None])
    return weights * ~_inside(ignored, size).any(1)


def _inside(corners: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, M, 4) boxes -> (N, M, h, w): whether the center of a cell lies in a box."""
    y, x = ((torch.arange(side // STRIDE, device=corners.device) + 0.5) * STRIDE for side in size)
    across = (x >= corners[..., 0:1]) & (x <= corners[..., 2:3])
    down = (y >= corners[..., 1:2]) & (y <= corners[..., 3:4])
    return down[..., :, None] & across[..., None, :]


def _area(low: Tensor, high: Tensor) -> Tensor:
    width, height = (high - low).clamp(min=0).unbind(-1)
    return width * height  # the backward pass of `prod` makes a GPU wait, and cannot be captured
