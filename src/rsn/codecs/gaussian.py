"""The Gaussian kernels of the reference implementations, shared by both directions of the codec."""

import torch
from torch import Tensor

# OpenCV's fixed kernels for small sizes; its formula for the others gives different numbers here.
_TABLES = {
    5: (1, 4, 6, 4, 1),
    7: (8, 28, 56, 72, 56, 28, 8),
    9: (4, 13, 30, 51, 60, 51, 30, 13, 4),
}


def gaussian_deviation(size: int) -> float:
    """The standard deviation of the kernel, in heatmap cells."""
    offsets = torch.arange(size, dtype=torch.float64) - size // 2
    return float((gaussian_kernel(size) * offsets**2).sum().sqrt())


def gaussian_kernel(size: int) -> Tensor:
    """cv2.getGaussianKernel(size, 0): (size,) float64 that sums to 1.

    Raises:
        ValueError: an even size, or one below 5, for which no reference exists.
    """
    if size % 2 == 0 or size < 5:
        raise ValueError(f"a heatmap kernel has an odd size of at least 5, not {size}")
    if size in _TABLES:
        weights = torch.tensor(_TABLES[size], dtype=torch.float64)
    else:
        sigma = 0.3 * ((size - 1) / 2 - 1) + 0.8
        offsets = torch.arange(size, dtype=torch.float64) - size // 2
        weights = torch.exp(-(offsets**2) / (2 * sigma**2))
    return weights / weights.sum()
