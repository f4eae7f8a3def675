"""The codec without rounding to cells."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from rsn.codecs.base import register_codec
from rsn.codecs.gaussian import gaussian_deviation
from rsn.codecs.heatmap import PEAK, STRIDE, HeatmapCodec, cell_of

_SMALLEST = 1e-3  # of a peak of 255; the logarithm is taken of no smaller value


@register_codec
@dataclass(frozen=True)
class UnbiasedCodec(HeatmapCodec):
    """Gaussians whose center is the keypoint itself, decoded to fractions of a cell.

    After Huang et al., "The Devil is in the Details" (UDP, 2020) and Zhang et al., "Distribution-Aware Coordinate
    Representation" (DARK, 2020). Cell j lies at input pixel 4j + 1.5, the center of the four pixels that it covers, so
    flipping a crop and flipping its heatmaps is the same and a flip test needs no shift.

    Encode: a Gaussian with the standard deviation of the reference's kernel around the keypoint.

    Decode: the maximum of the Gaussian around the highest cell of the blurred heatmap. The raw score is the maximum of
    the heatmap, not blurred.
    """

    name: ClassVar[str] = "unbiased"
    cell_center: ClassVar[float] = (STRIDE - 1) / 2

    def _profiles(self, positions: Tensor, length: int, kernel_size: int) -> Tensor:
        cells = torch.arange(length, device=positions.device)
        distance = cells - ((positions - self.cell_center) / STRIDE)[..., None]
        return torch.exp(-distance.square() / (2 * gaussian_deviation(kernel_size) ** 2))

    def decode(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Heatmaps (N, K, h, w) -> keypoints (N, K, 2), x, y in pixels of the crop, and raw scores (N, K)."""
        blurred = self._blur(outputs)
        peak = cell_of(blurred.flatten(2).argmax(-1, keepdim=True), outputs.shape[-1]).to(outputs)
        position = refine_peaks(blurred, peak)
        return position * STRIDE + self.cell_center, outputs.flatten(2).amax(-1) / PEAK + 0.5


def refine_peaks(blurred: Tensor, peaks: Tensor) -> Tensor:
    """The maxima of the Gaussians in heatmaps, by the second-order expansion of their logarithms (DARK).

    Args:
        blurred: (N, K, h, w). peaks: (N, K, 2), the cells (x, y) of their maxima.

    Returns:
        (N, K, 2) in cells, at most one cell from the peak; at the border, and where the surface is no maximum, the
        peak itself.
    """
    height, width = blurred.shape[-2:]
    limit = peaks.new_tensor([width - 1, height - 1])
    inside = ((peaks > 0) & (peaks < limit)).all(-1)
    center = torch.minimum(peaks.clamp(min=1), limit - 1).long()
    logs = blurred.clamp(min=_SMALLEST).log().flatten(2)

    def at(x: int, y: int) -> Tensor:
        index = (center[..., 1] + y) * width + center[..., 0] + x
        return logs.gather(-1, index[..., None])[..., 0]

    dx, dy = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    dxx, dyy = at(1, 0) - 2 * at(0, 0) + at(-1, 0), at(0, 1) - 2 * at(0, 0) + at(0, -1)
    dxy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4
    determinant = dxx * dyy - dxy**2
    is_maximum = inside & (determinant > 0) & (dxx < 0)
    step = torch.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], dim=-1)
    step = step / torch.where(is_maximum, determinant, 1.0)[..., None]
    return peaks + torch.where(is_maximum[..., None], step.clamp(-1, 1), 0.0)
