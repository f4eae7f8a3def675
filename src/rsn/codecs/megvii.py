"""The codec of the RSN and MSPN repositories."""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from rsn.codecs.base import register_codec
from rsn.codecs.gaussian import gaussian_kernel
from rsn.codecs.heatmap import PEAK, STRIDE, HeatmapCodec, cell_of
from rsn.errors import RsnError

BORDER = 10  # zeros that the reference has around a map; a map without a positive value has its peak there


@register_codec
@dataclass(frozen=True)
class MegviiCodec(HeatmapCodec):
    """The codec of the RSN and MSPN repositories (`test.py`, `dataset/JointsDataset.py` there).

    Encode: the cell of a keypoint (its position divided by 4, truncated) is blurred with each kernel, reflected at the
    border as OpenCV's BORDER_REFLECT_101 does, and scaled until its maximum is 255. Within three cells of the border
    the reflection moves the maximum away from the keypoint.

    Decode: the heatmap is blurred, its maximum moved a quarter of a cell towards the second maximum, and the cell
    mapped to input pixels by 4x + 2. The raw score is the value of the heatmap, not blurred, in that cell. An empty
    heatmap gives position (2, 2) and a raw score of at most 0.5.
    """

    name: ClassVar[str] = "megvii"
    cell_center: ClassVar[float] = STRIDE / 2
    peak_at_keypoint: ClassVar[bool] = False  # what is scaled to 255: the maximum, or the cell of the keypoint

    def _profiles(self, positions: Tensor, length: int, kernel_size: int) -> Tensor:
        table = _blurred_impulses(length, kernel_size, self.peak_at_keypoint, positions.device)
        return table[torch.trunc(positions / STRIDE).long().clamp(0, length - 1)]

    def decode(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Heatmaps (N, K, h, w) -> keypoints (N, K, 2), x, y in pixels of the crop, and raw scores (N, K)."""
        height, width = outputs.shape[-2:]
        margin = self.blur_kernel_size // 2  # blur reaches beyond the map, where the reference searches, too
        blurred = self._blur(outputs, margin)
        peak, index = _peak_in_border(blurred, margin)
        second, _ = _peak_in_border(blurred.flatten(2).scatter(-1, index, 0.0).view_as(blurred), margin)
        step = (second - peak).to(outputs)
        distance = step.square().sum(-1, keepdim=True).sqrt()
        position = peak + 0.25 * step / distance.clamp(min=1.0)  # the distance is 0 or at least 1
        position = torch.minimum(position.clamp(min=0), position.new_tensor([width - 1, height - 1]))
        x, y = position.round().long().unbind(-1)
        score = outputs.flatten(2).gather(-1, (y * width + x)[..., None]).squeeze(-1)
        return position * STRIDE + self.cell_center, score / PEAK + 0.5


def _peak_in_border(blurred: Tensor, margin: int) -> tuple[Tensor, Tensor]:
    """The cell (x, y) of the highest value, (N, K, 2), counted without the margin, and its flat index.

    The reference searches in a wide border of zeros, whose first cell is higher than values that are not positive.
    """
    value, index = blurred.flatten(2).max(-1, keepdim=True)
    return torch.where(value > 0, cell_of(index, blurred.shape[-1]) - margin, -BORDER), index


@lru_cache(maxsize=64)
def _blurred_impulses(length: int, kernel_size: int, peak_at_keypoint: bool, device: torch.device) -> Tensor:
    """(length, length); row c is an impulse at cell c, blurred and scaled to a peak of 1.

    It stays on the device: a GPU would wait for a copy in every step.
    """
    reach = kernel_size // 2
    if reach >= length:
        raise RsnError(
            f"Invalid kernel size: expected at most {2 * length - 1} for a heatmap of {length} cells, got {kernel_size}"
        )
    sources = (torch.arange(length)[:, None] + torch.arange(-reach, reach + 1)).abs()
    sources = torch.minimum(sources, 2 * (length - 1) - sources)  # reflection at the far border
    blur = torch.zeros(length, length, dtype=torch.float64)
    blur.scatter_add_(1, sources, gaussian_kernel(kernel_size).expand(length, -1))
    profiles = blur.T
    peaks = profiles.diagonal() if peak_at_keypoint else profiles.amax(1)
    return (profiles / peaks[:, None]).float().to(device)
