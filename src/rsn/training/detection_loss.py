"""The loss of the people detector: where middles are, and how well the boxes fit."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from rsn.codecs.box import BoxTargets, corners_of
from rsn.codecs.heatmap import STRIDE
from rsn.training.losses import COARSE_LEVEL_WEIGHT

KNOWN_REGION_SCALE = 1.5  # times the box: where a labeled person is, it is known who else is not


@dataclass(frozen=True)
class BoxLoss:
    """Called with the maps of all levels; the finest counts in full, the coarser ones a quarter each.

    box_weight: of the boxes' misfit against that of the middles.
    """

    box_weight: float = 4.0

    def __call__(self, levels: Sequence[Tensor], targets: BoxTargets, background: Tensor) -> Tensor:
        """The loss of a batch, for each person in it.

        levels: coarse to fine, each (N, 5, h, w). background: (N, h, w), how much finding somebody where nobody is
        labeled counts, see `negative_weight`.
        """
        people = (targets.center_heatmap == 1).sum().clamp(min=1)
        terms = [self._of_level(level.float(), targets, background) / people for level in levels]
        return COARSE_LEVEL_WEIGHT * sum(terms[:-1], start=torch.zeros_like(terms[-1])) + terms[-1]

    def _of_level(self, maps: Tensor, targets: BoxTargets, background: Tensor) -> Tensor:
        box_loss = (1 - generalized_iou(corners_of(maps), targets.corners)) * targets.weights
        return center_loss(maps[:, 0], targets.center_heatmap, background) + self.box_weight * box_loss.sum()


def center_loss(logits: Tensor, center_heatmap: Tensor, background: Tensor) -> Tensor:
    """The focal loss for points (Law and Deng, *CornerNet*, ECCV 2018), summed over (N, h, w).

    Cells around a middle count less the nearer they are to it; those without anybody count as `background` says.
    """
    found, missed = logsigmoid(logits), logsigmoid(-logits)
    probability = logits.sigmoid()
    at_middle = -found * (1 - probability).square()
    elsewhere = -missed * probability.square() * (1 - center_heatmap).pow(4) * background
    return torch.where(center_heatmap == 1, at_middle, elsewhere).sum()


def generalized_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Generalized intersection over union of boxes (..., 4), from -1 to 1 (Rezatofighi et al., CVPR 2019)."""
    both = _area(
        torch.maximum(boxes[..., :2], others[..., :2]), torch.minimum(boxes[..., 2:], others[..., 2:])
    )
    hull = _area(
        torch.minimum(boxes[..., :2], others[..., :2]), torch.maximum(boxes[..., 2:], others[..., 2:])
    )
    union = _area(boxes[..., :2], boxes[..., 2:]) + _area(others[..., :2], others[..., 2:]) - both
    return both / union.clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)


def negative_weight(
    corners: Tensor, present: Tensor, ignored: Tensor, unlabeled: Tensor, size: tuple[int, int]
) -> Tensor:
    """How much each cell counts where nobody is labeled: (N, h, w).

    corners: (N, M, 4) of people in input pixels, `present` (N, M). ignored: (N, R, 4), regions that never count, such
    as crowds. unlabeled: (N,), what counts away from labeled people: 1 in images in which everybody is labeled.
    """
    centers, half = (corners[..., :2] + corners[..., 2:]) / 2, (corners[..., 2:] - corners[..., :2]) / 2
    around = torch.cat([centers - KNOWN_REGION_SCALE * half, centers + KNOWN_REGION_SCALE * half], -1)
    known = (_inside(around, size) & present[..., None, None]).any(1)
    counts = torch.where(known, 1.0, unlabeled[:, None, None])
    return counts * ~_inside(ignored, size).any(1)


def _inside(corners: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, M, 4) -> (N, M, h, w): whose middle lies in the box."""
    y, x = ((torch.arange(side // STRIDE, device=corners.device) + 0.5) * STRIDE for side in size)
    across = (x >= corners[..., 0:1]) & (x <= corners[..., 2:3])
    down = (y >= corners[..., 1:2]) & (y <= corners[..., 3:4])
    return down[..., :, None] & across[..., None, :]


def _area(low: Tensor, high: Tensor) -> Tensor:
    width, height = (high - low).clamp(min=0).unbind(-1)
    return width * height  # of `prod` the backward pass makes a GPU wait, and cannot be captured
