"""Keypoints -> target heatmaps."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from rsn.codecs import unbiased as unbiased
from rsn.codecs.gaussian import gaussian_kernel
from rsn.models.network import STRIDE
from rsn.weights.metadata import Decoder

KERNELS = (15, 11, 9, 7, 5)  # one target a level, coarse to fine; pixels of the heatmap
PEAK = 255.0


def encode(
    keypoints: Tensor,
    visibility: Tensor,
    size: tuple[int, int],
    *,
    kernels: Sequence[int] = KERNELS,
    decoder: Decoder = "rsn",
) -> Tensor:
    """Render the target heatmaps of a batch on the keypoints' device, for one of the decoders of `decode`.

    "rsn" and "mmpose": each keypoint's cell (its position over 4, truncated) is blurred with every Gaussian kernel,
    flipped at the border as OpenCV's BORDER_REFLECT_101 does, and scaled to a peak of 255. Within three cells of the
    border flipping moves the maximum away from the keypoint: the authors give the maximum a value of 255, MMPose the
    keypoint's own cell, whose neighbors then exceed it. The blur of one cell is separable, so a map is the product of a
    row and a column that are looked up in two small tables.

    "unbiased": a Gaussian of the kernel's standard deviation around the keypoint itself, see `heatmaps.unbiased`.

    Args:
        keypoints: (N, K, 2) in input pixels, (x, y).
        visibility: (N, K); keypoints of 1 (occluded) and 2 (visible) are drawn, others give an empty map.
        size: (height, width) of the input in pixels.
        kernels: Gaussian kernel sizes in heatmap pixels, one level each.
        decoder: what will read the maps that are learned from these.

    Returns:
        (N, L, K, height / 4, width / 4) float32. A keypoint outside the input gives an empty map.
    """
    height, width = size[0] // STRIDE, size[1] // STRIDE
    cells = torch.trunc(keypoints / STRIDE).long()
    x, y = cells.unbind(-1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    drawn = ((visibility > 0) & inside)[..., None]
    rows, columns = [], []
    for kernel in kernels:
        if decoder == "unbiased":
            profile_x = unbiased.profiles(keypoints[..., 0], width, kernel)
            profile_y = unbiased.profiles(keypoints[..., 1], height, kernel)
        else:
            table_x, table_y = (
                _profiles(length, kernel, decoder, keypoints.device) for length in (width, height)
            )
            profile_x, profile_y = table_x[x.clamp(0, width - 1)], table_y[y.clamp(0, height - 1)]
        rows.append(PEAK * profile_y)
        columns.append(profile_x * drawn)
    return torch.stack(rows, dim=1)[..., :, None] * torch.stack(columns, dim=1)[..., None, :]


@lru_cache(maxsize=64)
def _profiles(length: int, kernel: int, decoder: Decoder, device: torch.device) -> Tensor:
    """Row c: an impulse at cell c of a line of `length` cells, blurred and scaled to a peak of 1.

    On the device that asks, where it stays: a GPU would wait for a copy in every step.
    """
    reach = kernel // 2
    if reach >= length:
        raise ValueError(f"a heatmap of {length} cells is too small for a kernel of {kernel}")
    sources = (torch.arange(length)[:, None] + torch.arange(-reach, reach + 1)).abs()
    sources = torch.minimum(sources, 2 * (length - 1) - sources)  # reflection at the far border
    blur = torch.zeros(length, length, dtype=torch.float64)
    blur.scatter_add_(1, sources, gaussian_kernel(kernel).expand(length, -1))
    profiles = blur.T
    peaks = profiles.diagonal() if decoder == "mmpose" else profiles.amax(1)
    return (profiles / peaks[:, None]).float().to(device)
