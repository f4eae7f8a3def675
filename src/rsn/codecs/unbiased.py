"""The codec without rounding to cells: Gaussians that stand where the keypoints are, maxima read between cells.

After Huang et al., "The Devil is in the Details" (UDP, 2020) and Zhang et al., "Distribution-Aware Coordinate
Representation" (DARK, 2020). Cell j lies at input pixel 4j + 1.5, the middle of the four pixels it stands for, so
that flipping a crop and flipping its heatmaps are the same and a flip test needs no shift.
"""

import torch
from torch import Tensor

from rsn.codecs.gaussian import gaussian_deviation
from rsn.models.network import STRIDE

CENTER = (STRIDE - 1) / 2  # of a cell, in input pixels from its first
_LEAST = 1e-3  # of a peak of 255; logarithms are taken of no less


def profiles(positions: Tensor, length: int, kernel: int) -> Tensor:
    """Gaussians along one axis, with a peak of 1 and the standard deviation of the reference's kernel.

    positions: (...) in input pixels. Returns (..., length) in heatmap cells, float32.
    """
    cells = torch.arange(length, device=positions.device)
    distance = cells - ((positions - CENTER) / STRIDE)[..., None]
    return torch.exp(-distance.square() / (2 * gaussian_deviation(kernel) ** 2))


def refine_peaks(blurred: Tensor, peaks: Tensor) -> Tensor:
    """The maxima of Gaussians that maps were sampled from, by the second-order expansion of their logarithms (DARK).

    Args:
        blurred: (N, K, h, w). peaks: (N, K, 2) cells (x, y) of their maxima.

    Returns:
        (N, K, 2) in cells, at most one cell from the peak; at the border, and where a map is not curved like a
        peak, the peak itself.
    """
    height, width = blurred.shape[-2:]
    limit = peaks.new_tensor([width - 1, height - 1])
    inside = ((peaks > 0) & (peaks < limit)).all(-1)
    middle = torch.minimum(peaks.clamp(min=1), limit - 1).long()
    logs = blurred.clamp(min=_LEAST).log().flatten(2)

    def at(dx: int, dy: int) -> Tensor:
        index = (middle[..., 1] + dy) * width + middle[..., 0] + dx
        return logs.gather(-1, index[..., None])[..., 0]

    gradient_x, gradient_y = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    dxx, dyy = at(1, 0) - 2 * at(0, 0) + at(-1, 0), at(0, 1) - 2 * at(0, 0) + at(0, -1)
    dxy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4
    curvature = dxx * dyy - dxy**2
    curved = inside & (curvature > 0) & (dxx < 0)
    divisor = torch.where(curved, curvature, 1.0)
    step = torch.stack([dxy * gradient_y - dyy * gradient_x, dxy * gradient_x - dxx * gradient_y], dim=-1)
    step = step / divisor[..., None]
    return peaks + torch.where(curved[..., None], step.clamp(-1, 1), 0.0)
