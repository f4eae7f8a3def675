"""What the codecs of heatmaps have in common: cells, blur, flip and resampling."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rsn.codecs.arrays import Array, library_of, surrounded
from rsn.codecs.base import Codec
from rsn.codecs.gaussian import check_kernel_size, gaussian_kernel
from rsn.geometry import Crop

if TYPE_CHECKING:
    from torch import Tensor

STRIDE = 4  # input pixels per heatmap cell
PEAK = 255.0  # height of a target
KERNEL_SIZES = (15, 11, 9, 7, 5)
_FLOOR = 1e-3  # of a peak of 255; gives the spread of an even map where a heatmap is empty


@dataclass(frozen=True)
class HeatmapCodec(Codec):
    """One heatmap per keypoint, a quarter of the input's size; targets are Gaussians with a peak of 255.

    The raw score is a value of the map divided by 255, plus 0.5 (reference behavior), and is not clipped.

    blur_kernel_size: Gaussian kernel, in cells, that a heatmap is blurred with before its maximum is searched: 5 for
        COCO, 9 for MPII.
    kernel_sizes: Gaussian kernels of the targets in cells, one target per level, coarse to fine.

    Raises:
        ValueError: a kernel size that is even, below 5 or above 99; no kernel sizes.
    """

    takes_arrays: ClassVar[bool] = True

    blur_kernel_size: int = 5
    kernel_sizes: tuple[int, ...] = KERNEL_SIZES

    cell_center: ClassVar[float]  # cell j lies at input pixel STRIDE * j + this

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernel_sizes", tuple(self.kernel_sizes))  # JSON and YAML have lists
        if not self.kernel_sizes:
            raise ValueError("Invalid kernel_sizes: expected at least one size, got none")
        for size in (self.blur_kernel_size, *self.kernel_sizes):
            check_kernel_size(size)

    def encode(self, keypoints: "Tensor", visibility: "Tensor", input_size: tuple[int, int]) -> "Tensor":
        """The target heatmaps of a batch, on the device of the keypoints.

        Args:
            keypoints: (N, K, 2) x, y in pixels of the crop.
            visibility: (N, K); keypoints of 1 (occluded) and 2 (visible) are drawn, others give an empty map.
            input_size: (height, width) of the crop in pixels.

        Returns:
            (N, L, K, height / 4, width / 4) float32, L kernel sizes. A keypoint outside the crop gives an empty map.
        """
        import torch

        height, width = input_size[0] // STRIDE, input_size[1] // STRIDE
        x, y = torch.trunc(keypoints / STRIDE).unbind(-1)  # numbers, not a tensor: a GPU would wait for its copy
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        drawn = ((visibility > 0) & inside)[..., None]
        columns = [self._profiles(keypoints[..., 0], width, size) * drawn for size in self.kernel_sizes]
        rows = [PEAK * self._profiles(keypoints[..., 1], height, size) for size in self.kernel_sizes]
        return torch.stack(rows, dim=1)[..., :, None] * torch.stack(columns, dim=1)[..., None, :]

    @abstractmethod
    def _profiles(self, positions: "Tensor", length: int, kernel_size: int) -> "Tensor":
        """One axis of the targets: (N, K) positions in input pixels -> (N, K, length) with a peak of 1.

        Gaussians are separable, so a map is the product of a row and a column.
        """

    def spread(self, outputs: Array, keypoints: Array) -> Array:
        """Heatmaps (N, K, h, w) and the keypoints (N, K, 2) decoded from them -> (N, K), in pixels of the crop.

        The root mean square distance of all cells from the keypoint, weighted by their value to the power of 1.5: of 1,
        1.25, 1.5 and 2 the exponent that predicts large errors of rsn18.starter best. A second peak, on another person
        or on the background, makes the spread large, and so does an empty heatmap.
        """
        library = library_of(outputs)
        positive = library.clip(outputs, 0, None)
        weights = positive * library.sqrt(positive) + _FLOOR
        columns, rows = weights.sum(-2), weights.sum(-1)
        squares = self._squares(columns, keypoints[..., 0]) + self._squares(rows, keypoints[..., 1])
        spread: Array = library.sqrt(squares / rows.sum(-1))
        return spread

    def _squares(self, weights: Any, positions: Any) -> Any:
        """The weighted sum of the squared distances of cells from positions (N, K) in pixels, along one axis: (N, K).

        weights: (N, K, cells).
        """
        library = library_of(weights)
        cells = library.cumsum(library.ones_like(weights), -1) - 1
        pixels = STRIDE * cells + self.cell_center
        return (weights * library.square(pixels - positions[..., None])).sum(-1)

    def flip_back(self, outputs: Array, flip_indices: Sequence[int]) -> Array:
        """Heatmaps (N, K, h, w) of flipped crops -> heatmaps of the crops: flipped, left and right exchanged.

        They are not shifted by one column (reference behavior): exact where cells lie at 4j + 1.5, and half an input
        pixel off, averaged with the heatmaps of the crops, where they lie at 4j + 2.
        """
        flipped: Array = library_of(outputs).flip(outputs, (-1,))[:, list(flip_indices)]
        return flipped

    def resample(
        self, outputs: "Tensor", crops: Sequence[Crop], target: Codec, target_crops: Sequence[Crop]
    ) -> "Tensor":
        """Heatmaps (N, K, h, w) on some crops -> heatmaps on other crops of the same persons, in their size.

        Bilinear; empty outside of the first crops. Where nothing differs, the heatmaps themselves.

        Raises:
            RsnError: the other codec has no heatmaps.
        """
        import torch
        from torch.nn.functional import grid_sample

        if not isinstance(target, HeatmapCodec):
            return super().resample(outputs, crops, target, target_crops)
        same = all(_is_same(*pair) for pair in zip(crops, target_crops, strict=True))
        if self.cell_center == target.cell_center and same:
            return outputs
        height, width = (side // STRIDE for side in target_crops[0].size)
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        pixels = torch.stack([columns, rows], dim=-1).double().numpy() * STRIDE + target.cell_center
        cells = [
            (crop.to_input(other.to_image(pixels)) - self.cell_center) / STRIDE
            for crop, other in zip(crops, target_crops, strict=True)
        ]
        last = np.array([outputs.shape[-1] - 1, outputs.shape[-2] - 1])
        grid = torch.from_numpy(np.stack(cells) / last * 2 - 1).to(outputs)
        return grid_sample(outputs, grid, mode="bilinear", padding_mode="zeros", align_corners=True)

    def _blur(self, heatmaps: Any, margin: int = 0) -> Any:
        """Heatmaps with zeros around them, blurred: (N, K, h, w) -> (N, K, h + 2 margin, w + 2 margin)."""
        weights = gaussian_kernel(self.blur_kernel_size).tolist()
        height, width = (side + 2 * margin for side in heatmaps.shape[-2:])
        wide = surrounded(heatmaps, margin + self.blur_kernel_size // 2)
        rows = sum(weight * wide[..., step : step + height, :] for step, weight in enumerate(weights))
        return sum(weight * rows[..., step : step + width] for step, weight in enumerate(weights))


def flattened(heatmaps: Any) -> Any:
    """(N, K, h, w) -> (N, K, h w), row by row."""
    count, keypoints, height, width = heatmaps.shape
    return heatmaps.reshape(count, keypoints, height * width)


def highest_cell(values: Any) -> Any:
    """Flattened maps (N, K, cells) -> the index of the highest cell, the first one if several are, (N, K, 1)."""
    return library_of(values).argmax(values, -1)[..., None]


def cell_of(index: Any, width: int) -> Any:
    """Index into flattened maps of this width, (N, K, 1) -> cell (x, y), (N, K, 2)."""
    return library_of(index).concatenate([index % width, index // width], -1)


def _is_same(a: Crop, b: Crop) -> bool:
    return a.size == b.size and np.array_equal(a.matrix, b.matrix)
