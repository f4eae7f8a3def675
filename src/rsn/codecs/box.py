"""The codec of the people detector: boxes -> target maps, and maps -> boxes.

A person is one keypoint, the middle of the box, with a size and an offset (Zhou et al., *Objects as Points*, 2019).
Every cell near the middle is taught the box, not the middle alone (Liu et al., *Training-Time-Friendly Network*, AAAI
2020), from which a network learns faster.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from rsn.models.network import STRIDE
from rsn.skeletons import Skeleton

# What the five maps of a detector are; it takes the place of the skeleton in its metadata.
PERSON_BOX = Skeleton(
    "person_box",
    ("middle", "log_width", "log_height", "offset_x", "offset_y"),
    limbs=(),
    upper_body=frozenset(),
)

UNIT = 64.0  # pixels of the input: a log size of 0
OFFSET_UNIT = 16.0  # pixels of the input
LARGEST_LOG = 3.0  # sizes stay between UNIT / 20 and UNIT * 20
SPREAD, LEAST_SPREAD = (
    0.09,
    0.4,
)  # of a person's hump: standard deviation as a share of the box; at least, in cells
NEAR = 0.1  # height of the hump from which a cell is taught the box
MOST_PEOPLE = 100  # of an image


class BoxTargets(NamedTuple):
    """What the maps of a batch should say; h and w are a quarter of the input's.

    humps: (N, h, w), 1 in the cell of a box's middle and falling off around it. corners: (N, h, w, 4) left, top,
    right, bottom in input pixels, of the smallest box that the cell is near to. share: (N, h, w), how much the cell
    counts for that box; 1 in sum over the cells of a person, 0 away from people.
    """

    center_heatmap: Tensor
    corners: Tensor
    share: Tensor


def encode_boxes(corners: Tensor, present: Tensor, size: tuple[int, int]) -> BoxTargets:
    """Boxes -> targets, on their device.

    corners: (N, M, 4) left, top, right, bottom in input pixels. present: (N, M) booleans, which rows are boxes and
    which fill the table; M is at least 1. size: (height, width) of the input.
    """
    height, width = size[0] // STRIDE, size[1] // STRIDE
    extents = (corners[..., 2:] - corners[..., :2]).clamp(min=1.0)
    centers = (corners[..., :2] + corners[..., 2:]) / 2
    x, y = (centers / STRIDE).floor().unbind(-1)
    spread = (SPREAD * extents / STRIDE).clamp(min=LEAST_SPREAD)
    across = _profile(width, x.clamp(0, width - 1), spread[..., 0])
    down = _profile(height, y.clamp(0, height - 1), spread[..., 1])
    center_heatmap = down[..., :, None] * across[..., None, :] * present[..., None, None]
    near = center_heatmap > NEAR
    areas = extents.prod(-1)[..., None, None].expand_as(center_heatmap)
    owner = areas.masked_fill(~near, torch.inf).argmin(1)
    weight = center_heatmap.gather(1, owner[:, None]).squeeze(1) * near.any(1)
    total = torch.zeros_like(areas[..., 0, 0]).scatter_add(1, owner.flatten(1), weight.flatten(1))
    share = weight / total.gather(1, owner.flatten(1)).view_as(weight).clamp(min=1e-6)
    of_owner = corners.gather(1, owner.flatten(1)[..., None].expand(-1, -1, 4)).view(*owner.shape, 4)
    return BoxTargets(center_heatmap.amax(1), of_owner, share)


def decode_boxes(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Maps (N, 5, h, w) -> corners (N, K, 4) in input pixels and scores (N, K), best first; K at most 100.

    A person is a cell whose score is no lower than that of its eight neighbors.
    """
    scores = maps[:, 0].sigmoid()
    peaks = scores * (scores == max_pool2d(scores, 3, stride=1, padding=1))
    best, index = peaks.flatten(1).topk(min(MOST_PEOPLE, peaks[0].numel()))
    corners = corners_of(maps).flatten(1, 2).gather(1, index[..., None].expand(-1, -1, 4))
    return corners, best


def flip_boxes_back(maps: Tensor) -> Tensor:
    """Maps (N, 5, h, w) of flipped crops (`Crop.flipped`) -> the maps of the crops as they were."""
    back = maps.flip(-1)
    back[:, PERSON_BOX.keypoint_names.index("offset_x")] *= -1
    return back


def corners_of(maps: Tensor) -> Tensor:
    """The box that every cell of (N, 5, h, w) tells: (N, h, w, 4) left, top, right, bottom in input pixels."""
    height, width = maps.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=maps.device), torch.arange(width, device=maps.device), indexing="ij"
    )
    centers = (torch.stack([x, y], -1) + 0.5) * STRIDE + OFFSET_UNIT * maps[:, 3:5].permute(0, 2, 3, 1)
    extents = UNIT * maps[:, 1:3].clamp(-LARGEST_LOG, LARGEST_LOG).exp().permute(0, 2, 3, 1)
    return torch.cat([centers - extents / 2, centers + extents / 2], -1)


def _profile(length: int, cell: Tensor, spread: Tensor) -> Tensor:
    """(N, M) cells and spreads -> (N, M, length), a Gaussian of height 1 around each cell."""
    distance = torch.arange(length, device=cell.device) - cell[..., None]
    return torch.exp(-0.5 * (distance / spread[..., None]).square())
