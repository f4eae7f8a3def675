"""The codec of the person detector: boxes -> target maps, and maps -> boxes.

A person is the center of the box, with a size and an offset (Zhou et al., *Objects as Points*, 2019). Every cell near
the center is trained with the box, not the center alone (Liu et al., *Training-Time-Friendly Network*, AAAI 2020),
from which a network learns faster.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from rsn.codecs.base import Codec
from rsn.codecs.heatmap import STRIDE

MAPS = ("center", "log_width", "log_height", "offset_x", "offset_y")
SIZE_UNIT = 64.0  # input pixels: a log size of 0
OFFSET_UNIT = 16.0  # input pixels
MAX_LOG_SIZE = 3.0  # sizes stay between SIZE_UNIT / 20 and SIZE_UNIT * 20
DEVIATION = 0.09  # of a person's Gaussian in the center heatmap, as a share of the box
MIN_DEVIATION = 0.4  # cells
NEAR = 0.1  # height of that Gaussian from which a cell is trained with the box
MAX_PERSONS = 100  # per image


class BoxTargets(NamedTuple):
    """The targets of a batch; h and w are a quarter of the input's.

    center_heatmap: (N, h, w), 1 in the cell of a box's center and falling off around it.
    corners: (N, h, w, 4) left, top, right, bottom in input pixels, of the smallest box that the cell is near to.
    weights: (N, h, w), how much the cell counts for that box: the cells of a person sum to 1; 0 away from persons.
    """

    center_heatmap: Tensor
    corners: Tensor
    weights: Tensor


@dataclass(frozen=True)
class BoxCodec(Codec):
    """Boxes of persons in five maps: a heatmap of centers (logits), two log sizes, two offsets."""

    name: ClassVar[str] = "box"

    def num_maps(self, num_keypoints: int = 0) -> int:
        """Five, whatever the number of keypoints."""
        return len(MAPS)

    def encode(self, keypoints: Tensor, visibility: Tensor, input_size: tuple[int, int]) -> BoxTargets:
        """Boxes -> targets, on their device.

        Args:
            keypoints: (N, M, 4), the corners of the boxes: left, top, right, bottom in input pixels; M is at least 1.
            visibility: (N, M) booleans: which rows are boxes, and which only fill the table.
            input_size: (height, width) of the input in pixels.
        """
        corners, present = keypoints, visibility
        height, width = input_size[0] // STRIDE, input_size[1] // STRIDE
        sizes = (corners[..., 2:] - corners[..., :2]).clamp(min=1.0)
        centers = (corners[..., :2] + corners[..., 2:]) / 2
        x, y = (centers / STRIDE).floor().unbind(-1)
        deviation = (DEVIATION * sizes / STRIDE).clamp(min=MIN_DEVIATION)
        columns = _gaussian(width, x.clamp(0, width - 1), deviation[..., 0])
        rows = _gaussian(height, y.clamp(0, height - 1), deviation[..., 1])
        heatmaps = rows[..., :, None] * columns[..., None, :] * present[..., None, None]
        near = heatmaps > NEAR
        areas = sizes.prod(-1)[..., None, None].expand_as(heatmaps)
        smallest = areas.masked_fill(~near, torch.inf).argmin(1)
        height_there = heatmaps.gather(1, smallest[:, None]).squeeze(1) * near.any(1)
        total = torch.zeros_like(areas[..., 0, 0]).scatter_add(1, smallest.flatten(1), height_there.flatten(1))
        weights = height_there / total.gather(1, smallest.flatten(1)).view_as(height_there).clamp(min=1e-6)
        index = smallest.flatten(1)[..., None].expand(-1, -1, 4)
        return BoxTargets(heatmaps.amax(1), corners.gather(1, index).view(*smallest.shape, 4), weights)

    def decode(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (N, 5, h, w) -> corners (N, M, 4) in input pixels and scores (N, M), best first; M at most 100.

        A person is a cell whose score is no lower than that of its eight neighbors.
        """
        scores = outputs[:, 0].sigmoid()
        peaks = scores * (scores == max_pool2d(scores, 3, stride=1, padding=1))
        best, index = peaks.flatten(1).topk(min(MAX_PERSONS, peaks[0].numel()))
        corners = corners_of(outputs).flatten(1, 2).gather(1, index[..., None].expand(-1, -1, 4))
        return corners, best

    def flip_back(self, outputs: Tensor, flip_indices: Sequence[int] = ()) -> Tensor:
        """Maps (N, 5, h, w) of flipped inputs -> the maps of the inputs."""
        back = outputs.flip(-1)
        back[:, MAPS.index("offset_x")] *= -1
        return back


def corners_of(maps: Tensor) -> Tensor:
    """The box that every cell of (N, 5, h, w) predicts: (N, h, w, 4) left, top, right, bottom in input pixels."""
    height, width = maps.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=maps.device), torch.arange(width, device=maps.device), indexing="ij"
    )
    centers = (torch.stack([x, y], -1) + 0.5) * STRIDE + OFFSET_UNIT * maps[:, 3:5].permute(0, 2, 3, 1)
    sizes = SIZE_UNIT * maps[:, 1:3].clamp(-MAX_LOG_SIZE, MAX_LOG_SIZE).exp().permute(0, 2, 3, 1)
    return torch.cat([centers - sizes / 2, centers + sizes / 2], -1)


def _gaussian(length: int, cell: Tensor, deviation: Tensor) -> Tensor:
    """(N, M) cells and deviations -> (N, M, length), a Gaussian of height 1 around each cell."""
    distance = torch.arange(length, device=cell.device) - cell[..., None]
    return torch.exp(-0.5 * (distance / deviation[..., None]).square())
