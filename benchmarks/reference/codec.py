"""Targets and decoding as in the reference: OpenCV's blur, one map after the other."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

KERNELS = (15, 11, 9, 7, 5)
BORDER = 10


def targets(keypoints: NDArray[np.float32], visibility: NDArray[np.int64], size: tuple[int, int]) -> Tensor:
    """(K, 2) keypoints in input pixels, (K,) visibility -> (5, K, h, w) with a peak of 255."""
    levels = np.zeros((len(KERNELS), len(keypoints), size[0] // 4, size[1] // 4))
    visible = torch.from_numpy(visibility).float()
    for level, kernel in enumerate(KERNELS):
        levels[level] = _heatmaps(keypoints, visible, size, kernel)
    return torch.from_numpy(levels).float()


def _heatmaps(
    keypoints: NDArray[np.float32], visible: Tensor, size: tuple[int, int], kernel: int
) -> NDArray[np.float32]:
    height, width = size[0] // 4, size[1] // 4
    maps = np.zeros((len(keypoints), height, width), np.float32)
    for keypoint, (x, y) in enumerate(keypoints):
        if visible[keypoint] < 1:
            continue
        maps[keypoint, int(y * height / size[0]), int(x * width / size[1])] = 1
        maps[keypoint] = cv2.GaussianBlur(maps[keypoint], (kernel, kernel), 0)
        highest = maps[keypoint].max()
        if highest > 1e-8:
            maps[keypoint] /= highest / 255
    return maps


def decode(heatmaps: NDArray[np.float32], kernel: int = 5) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, K, h, w) -> keypoints (N, K, 2) in input pixels, scores (N, K)."""
    batch, count, height, width = heatmaps.shape
    keypoints, scores = np.zeros((batch, count, 2)), np.zeros((batch, count))
    for sample in range(batch):
        values = heatmaps[sample] / 255 + 0.5
        blurred = np.zeros((count, height + 2 * BORDER, width + 2 * BORDER))
        blurred[:, BORDER:-BORDER, BORDER:-BORDER] = heatmaps[sample]
        for keypoint in range(count):
            blurred[keypoint] = cv2.GaussianBlur(blurred[keypoint], (kernel, kernel), 0)
        for keypoint in range(count):
            y, x = np.unravel_index(blurred[keypoint].argmax(), blurred[keypoint].shape)
            blurred[keypoint, y, x] = 0
            next_y, next_x = np.unravel_index(blurred[keypoint].argmax(), blurred[keypoint].shape)
            across, down = int(next_x) - int(x), int(next_y) - int(y)
            distance = (across**2 + down**2) ** 0.5
            x, y = x - BORDER, y - BORDER
            if distance > 1e-3:
                x, y = x + 0.25 * across / distance, y + 0.25 * down / distance
            x, y = max(0, min(x, width - 1)), max(0, min(y, height - 1))
            keypoints[sample, keypoint] = 4 * x + 2, 4 * y + 2
            scores[sample, keypoint] = values[keypoint, int(round(y) + 1e-9), int(round(x) + 1e-9)]
    return keypoints, scores
