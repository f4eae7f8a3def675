"""The map from a box in an image to the network's input and back; training, evaluation and prediction share it.

Coordinates are (x, y) in pixels, with integers at pixel centers. Boxes are (x, y, width, height), where x and y are
the top left corner. An input size is (height, width).
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
Image = NDArray[np.uint8]  # (H, W, 3), RGB

_REMAP_MAX_SIDE = 2**15 - 2  # pixels; cv2.remap fails above


@dataclass(frozen=True)
class Region:
    """An upright rectangle of an image: `center` (x, y) and `extent` (width, height), in image pixels."""

    center: tuple[float, float]
    extent: tuple[float, float]

    @classmethod
    def from_box(cls, box: ArrayLike) -> "Region":
        """The region of a box (x, y, width, height)."""
        x, y, width, height = (float(value) for value in np.asarray(box, np.float64))
        return cls((x + width / 2, y + height / 2), (width, height))

    def scaled(self, width_factor: float, height_factor: float) -> "Region":
        """The region with the same center, its extent multiplied by the factors."""
        return replace(self, extent=(self.extent[0] * width_factor, self.extent[1] * height_factor))

    def fit_aspect(self, size: tuple[int, int]) -> "Region":
        """The smallest region around this one that has the aspect ratio of an input `size` (height, width)."""
        ratio = size[1] / size[0]
        width, height = self.extent
        return replace(self, extent=(max(width, ratio * height), max(height, width / ratio)))


@dataclass(frozen=True)
class Crop:
    """An affine map from image pixels to pixels of the network's input.

    matrix: (2, 3) float64. size: (height, width) of the input.
    """

    matrix: FloatArray
    size: tuple[int, int]

    @classmethod
    def from_region(cls, region: Region, size: tuple[int, int], *, rotation: float = 0.0) -> "Crop":
        """The crop that shows `region`, rotated by `rotation` degrees around its center.

        The scale follows from the width alone (as in the reference); call `Region.fit_aspect` first.
        """
        height, width = size
        angle = np.deg2rad(rotation)
        scale = width / region.extent[0]
        linear = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        shift = np.array([width / 2, height / 2]) - linear @ np.array(region.center)
        return cls(np.column_stack([linear, shift]), size)

    @classmethod
    def from_box(cls, box: ArrayLike, size: tuple[int, int], bbox_padding: tuple[float, float]) -> "Crop":
        """The crop of evaluation and prediction: the padded box, enlarged to the aspect ratio of the input.

        bbox_padding: factors on (width, height), from the metadata of the weights (COCO 1.09, 1.135; MPII 1.25, 1.25).
        """
        return cls.from_region(Region.from_box(box).scaled(*bbox_padding).fit_aspect(size), size)

    def flipped(self) -> "Crop":
        """The crop flipped horizontally (x becomes width - x)."""
        matrix = np.diag([-1.0, 1.0]) @ self.matrix
        matrix[0, 2] += self.size[1]
        return replace(self, matrix=matrix)

    def warp(self, image: Image) -> Image:
        """Sample the input's pixels, (*size, 3) uint8; bilinear, black outside the image.

        The pixels are those of cv2.warpAffine in OpenCV 4, whichever version is installed; OpenCV 5 interpolates
        differently, which moves keypoints.
        """
        if max(image.shape) > _REMAP_MAX_SIDE:
            return self._warp_part(image)
        return np.asarray(cv2.remap(image, *self._positions(), cv2.INTER_LINEAR), np.uint8)

    def _positions(self) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
        """Where the input's pixels lie in the image, as cv2.remap expects it: whole pixels, and 1/32 pixels."""
        height, width = self.size
        inverse = self._inverse()
        # As OpenCV 4: what the column and the row contribute to x and y is first rounded to 1/1024 pixel.
        columns = _to_fixed(inverse[:, :1] * np.arange(width))
        rows = _to_fixed(inverse[:, 1:2] * np.arange(height) + inverse[:, 2:])
        positions = (columns[:, None] + (rows[..., None] + 16)) >> 5  # (2, height, width), in 1/32 pixels, rounded
        whole = (positions >> 5).clip(-(2**15), 2**15 - 1).astype(np.int16)
        x, y = (positions & 31).astype(np.uint16)
        return np.asarray(cv2.merge(list(whole)), np.int16), y * 32 + x

    def _warp_part(self, image: Image) -> Image:
        """As `warp`, from the part of a large image that the crop shows; if that is too large, from fewer pixels."""
        height, width = self.size
        corners = self.to_image([[0, 0], [width, 0], [0, height], [width, height]])
        limits = image.shape[1::-1]
        left, top = (corners.min(0) - 1).clip(0, limits).astype(int)
        right, bottom = (corners.max(0) + 2).clip(0, limits).astype(int)
        part = image[top:bottom, left:right]
        if not part.size:
            return np.zeros((*self.size, 3), np.uint8)
        moved = replace(self, matrix=np.column_stack([self.matrix[:, :2], self.to_input([left, top])]))
        return moved.warp_antialiased(part) if max(part.shape) > _REMAP_MAX_SIDE else moved.warp(part)

    def warp_antialiased(self, image: Image) -> Image:
        """As `warp`, but an image that the crop shrinks to less than half is first resized by averaging pixels.

        Bilinear sampling alone would skip most pixels of a large image.
        """
        if self.scale > 0.5:
            return self.warp(image)
        size = [max(round(side * 2 * self.scale), 1) for side in image.shape[1::-1]]
        resized = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        return self.for_resized(*np.divide(image.shape[1::-1], size)).warp(resized)

    def for_resized(self, width_factor: float, height_factor: float) -> "Crop":
        """The same crop of the image after it was resized to width / `width_factor`, height / `height_factor`."""
        # A pixel of the resized image is centered between the pixels that it averages.
        to_original = np.array(
            [
                [width_factor, 0.0, (width_factor - 1) / 2],
                [0.0, height_factor, (height_factor - 1) / 2],
                [0.0, 0.0, 1.0],
            ]
        )
        return replace(self, matrix=self.matrix @ to_original)

    @property
    def scale(self) -> float:
        """Input pixels per image pixel."""
        return float(np.hypot(*self.matrix[:, 0]))

    def to_input(self, points: ArrayLike) -> FloatArray:
        """Image pixels -> input pixels, (..., 2)."""
        return _apply(self.matrix, points)

    def to_image(self, points: ArrayLike) -> FloatArray:
        """Input pixels -> image pixels, (..., 2)."""
        return _apply(self._inverse(), points)

    def _inverse(self) -> FloatArray:
        """(2, 3) map from input pixels to image pixels."""
        inverse = np.linalg.inv(self.matrix[:, :2])
        return np.column_stack([inverse, -inverse @ self.matrix[:, 2]])


def _to_fixed(pixels: FloatArray) -> NDArray[np.int32]:
    """Positions in pixels -> in 1/1024 pixels; those far outside of any image are limited, so that a sum fits."""
    return np.rint(pixels * 1024).clip(-(2**29), 2**29).astype(np.int32)


def _apply(matrix: FloatArray, points: ArrayLike) -> FloatArray:
    return np.asarray(np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2])


def box_iou(boxes: FloatArray, others: FloatArray) -> FloatArray:
    """Intersection over union of (N, 4) and (M, 4) boxes x, y, width, height: (N, M)."""
    a, b = boxes[:, None], others[None]
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    common = np.prod(np.maximum(high - low, 0), axis=-1)
    union = np.prod(a[..., 2:], axis=-1) + np.prod(b[..., 2:], axis=-1) - common
    return np.asarray(common / np.maximum(union, 1e-12))
