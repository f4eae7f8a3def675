"""The Gaussian kernels of the reference implementations."""

import numpy as np

from rsn.geometry import FloatArray

MAX_SIZE = 99  # cells; a kernel is no wider than a heatmap

# OpenCV's fixed kernels for small sizes; its formula for the others gives different numbers here.
_TABLES = {
    5: (1, 4, 6, 4, 1),
    7: (8, 28, 56, 72, 56, 28, 8),
    9: (4, 13, 30, 51, 60, 51, 30, 13, 4),
}


def check_kernel_size(size: int) -> None:
    """Refuse an even kernel size, one below 5, for which no reference exists, and one above `MAX_SIZE` (ValueError)."""
    if size % 2 == 0 or not 5 <= size <= MAX_SIZE:
        raise ValueError(f"Invalid kernel size: expected an odd number from 5 to {MAX_SIZE}, got {size}")


def gaussian_deviation(size: int) -> float:
    """The standard deviation of the kernel, in heatmap cells."""
    offsets = np.arange(size) - size // 2
    return float(np.sqrt((gaussian_kernel(size) * offsets**2).sum()))


def gaussian_kernel(size: int) -> FloatArray:
    """cv2.getGaussianKernel(size, 0): (size,) that sums to 1.

    Raises:
        ValueError: a size that `check_kernel_size` refuses.
    """
    check_kernel_size(size)
    if size in _TABLES:
        weights = np.array(_TABLES[size], np.float64)
    else:
        sigma = 0.3 * ((size - 1) / 2 - 1) + 0.8
        offsets = np.arange(size) - size // 2
        weights = np.exp(-(offsets**2) / (2 * sigma**2))
    return np.asarray(weights / weights.sum())
