"""The loss of the people detector: where middles are, and how well the boxes fit."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from rsn.heatmaps.boxes import BoxTargets, corners_of
from rsn.networks.network import STRIDE
from rsn.training.losses import COARSE_WEIGHT

SURROUNDINGS = 1.5  # times the box: where a labelled person is, it is known who else is not


@dataclass(frozen=True)
class BoxLoss:
    """Called with the maps of all levels; the finest counts in full, the coarser ones a quarter each.

    box_weight: of the boxes' misfit against that of the middles.
    """

    box_weight: float = 4.0

    def __call__(self, levels: Sequence[Tensor], targets: BoxTargets, background: Tensor) -> Tensor:
        """The loss of a batch, for each person in it.

        levels: coarse to fine, each (N, 5, h, w). background: (N, h, w), how much finding somebody where nobody is
        labelled counts, see `background_of`.
        """
        people = (targets.humps == 1).sum().clamp(min=1)
        terms = [self._of_level(level.float(), targets, background) / people for level in levels]
        return COARSE_WEIGHT * sum(terms[:-1], start=torch.zeros_like(terms[-1])) + terms[-1]

    def _of_level(self, maps: Tensor, targets: BoxTargets, background: Tensor) -> Tensor:
        misfit = (1 - generalised_iou(corners_of(maps), targets.corners)) * targets.share
        return middle_loss(maps[:, 0], targets.humps, background) + self.box_weight * misfit.sum()


def middle_loss(logits: Tensor, humps: Tensor, background: Tensor) -> Tensor:
    """The focal loss for points (Law and Deng, *CornerNet*, ECCV 2018), summed over (N, h, w).

    Cells around a middle count less the nearer they are to it; those without anybody count as `background` says.
    """
    found, missed = logsigmoid(logits), logsigmoid(-logits)
    probability = logits.sigmoid()
    at_middle = -found * (1 - probability).square()
    elsewhere = -missed * probability.square() * (1 - humps).pow(4) * background
    return torch.where(humps == 1, at_middle, elsewhere).sum()


def generalised_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Generalised intersection over union of boxes (..., 4), from -1 to 1 (Rezatofighi et al., CVPR 2019)."""
    both = _area(
        torch.maximum(boxes[..., :2], others[..., :2]), torch.minimum(boxes[..., 2:], others[..., 2:])
    )
    hull = _area(
        torch.minimum(boxes[..., :2], others[..., :2]), torch.maximum(boxes[..., 2:], others[..., 2:])
    )
    union = _area(boxes[..., :2], boxes[..., 2:]) + _area(others[..., :2], others[..., 2:]) - both
    return both / union.clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)


def background_of(
    corners: Tensor, present: Tensor, ignored: Tensor, unlabelled: Tensor, size: tuple[int, int]
) -> Tensor:
    """How much each cell counts where nobody is labelled: (N, h, w).

    corners: (N, M, 4) of people in input pixels, `present` (N, M). ignored: (N, R, 4), regions that never count, such
    as crowds. unlabelled: (N,), what counts away from labelled people: 1 in pictures in which everybody is labelled.
    """
    middles, half = (corners[..., :2] + corners[..., 2:]) / 2, (corners[..., 2:] - corners[..., :2]) / 2
    around = torch.cat([middles - SURROUNDINGS * half, middles + SURROUNDINGS * half], -1)
    known = (_inside(around, size) & present[..., None, None]).any(1)
    counts = torch.where(known, 1.0, unlabelled[:, None, None])
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
