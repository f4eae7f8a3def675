"""Joints -> target heatmaps."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from rsn.heatmaps.gaussian import gaussian_kernel
from rsn.networks.network import STRIDE

KERNELS = (15, 11, 9, 7, 5)  # one target a level, coarse to fine; pixels of the heatmap
PEAK = 255.0

# Which value of a joint's map becomes the peak of 255. They differ within three cells of the border, where
# mirroring at the edge moves the maximum of the blurred map away from the joint.
PeakAt = Literal["maximum", "joint"]


def encode(
    joints: Tensor,
    visibility: Tensor,
    size: tuple[int, int],
    *,
    kernels: Sequence[int] = KERNELS,
    peak_at: PeakAt = "maximum",
) -> Tensor:
    """Render the target heatmaps of a batch on the joints' device.

    Each joint's cell (its position over 4, truncated) is blurred with every Gaussian kernel, mirrored at the border
    as OpenCV's BORDER_REFLECT_101 does, and scaled to a peak of 255. The blur of one cell is separable, so a map
    is the product of a row and a column that are looked up in two small tables.

    Args:
        joints: (N, K, 2) in input pixels, (x, y).
        visibility: (N, K); joints of 1 (occluded) and 2 (visible) are drawn, others give an empty map.
        size: (height, width) of the input in pixels.
        kernels: Gaussian kernel sizes in heatmap pixels, one level each.
        peak_at: "maximum" scales the map's largest value to 255 (RSN), "joint" the value at the joint's cell
            (MMPose; near the border its neighbours then exceed 255).

    Returns:
        (N, L, K, height / 4, width / 4) float32. A joint outside the input gives an empty map.
    """
    height, width = size[0] // STRIDE, size[1] // STRIDE
    cells = torch.trunc(joints / STRIDE).long()
    inside = ((cells >= 0) & (cells < cells.new_tensor([width, height]))).all(-1)
    drawn = ((visibility > 0) & inside)[..., None]
    columns, rows = cells[..., 0].clamp(0, width - 1), cells[..., 1].clamp(0, height - 1)
    levels = []
    for kernel in kernels:
        profile_x = _profiles(width, kernel, peak_at).to(joints.device)[columns] * drawn
        profile_y = _profiles(height, kernel, peak_at).to(joints.device)[rows]
        levels.append(PEAK * profile_y[..., :, None] * profile_x[..., None, :])
    return torch.stack(levels, dim=1)


@lru_cache(maxsize=64)
def _profiles(length: int, kernel: int, peak_at: PeakAt) -> Tensor:
    """Row c: an impulse at cell c of a line of `length` cells, blurred and scaled to a peak of 1."""
    reach = kernel // 2
    if reach >= length:
        raise ValueError(f"a heatmap of {length} cells is too small for a kernel of {kernel}")
    sources = (torch.arange(length)[:, None] + torch.arange(-reach, reach + 1)).abs()
    sources = torch.minimum(sources, 2 * (length - 1) - sources)  # reflection at the far border
    blur = torch.zeros(length, length, dtype=torch.float64)
    blur.scatter_add_(1, sources, gaussian_kernel(kernel).expand(length, -1))
    profiles = blur.T
    peaks = profiles.diagonal() if peak_at == "joint" else profiles.amax(1)
    return (profiles / peaks[:, None]).float()
