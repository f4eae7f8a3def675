"""From a box in an image to the network's input and back: the one geometry of training, evaluation and prediction.

Coordinates are (x, y) in pixels with integers at pixel centers. Boxes are (x, y, width, height), x and y being the
top left corner. An input size is (height, width).
"""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
Image = NDArray[np.uint8]  # (H, W, 3), RGB
Downscale = Literal[1, 2, 4, 8]  # how many times narrower and lower a JPEG can be decoded
DOWNSCALES: tuple[Downscale, ...] = get_args(Downscale)


@dataclass(frozen=True)
class Region:
    """An upright part of an image: `center` (x, y) and `extent` (width, height), in image pixels."""

    center: tuple[float, float]
    extent: tuple[float, float]

    @classmethod
    def from_box(cls, box: ArrayLike) -> "Region":
        """The region that a box (x, y, width, height) covers."""
        x, y, width, height = (float(value) for value in np.asarray(box, np.float64))
        return cls((x + width / 2, y + height / 2), (width, height))

    def scaled(self, width_factor: float, height_factor: float) -> "Region":
        """The same center, the extent times the factors."""
        return replace(self, extent=(self.extent[0] * width_factor, self.extent[1] * height_factor))

    def fit_aspect(self, size: tuple[int, int]) -> "Region":
        """The smallest region around this one that has the aspect ratio of an input `size` (height, width)."""
        ratio = size[1] / size[0]
        width, height = self.extent
        if width > ratio * height:
            return replace(self, extent=(width, width / ratio))
        return replace(self, extent=(ratio * height, height))


@dataclass(frozen=True)
class Crop:
    """An affine map from image pixels to pixels of the network's input, and back.

    matrix: (2, 3) float64. size: (height, width) of the input.
    """

    matrix: FloatArray
    size: tuple[int, int]

    @classmethod
    def from_region(cls, region: Region, size: tuple[int, int], *, rotation: float = 0.0) -> "Crop":
        """The crop that shows `region` upright, turned by `rotation` degrees around its center.

        The scale follows from the width alone (reference behavior); call `Region.fit_aspect` first.
        """
        height, width = size
        angle = np.deg2rad(rotation)
        scale = width / region.extent[0]
        linear = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        shift = np.array([width / 2, height / 2]) - linear @ np.array(region.center)
        return cls(np.column_stack([linear, shift]), size)

    @classmethod
    def from_box(cls, box: ArrayLike, size: tuple[int, int], bbox_padding: tuple[float, float]) -> "Crop":
        """The crop of evaluation and prediction: the box, extended (width, height), brought to the aspect ratio.

        The extension belongs to the weights: their metadata has it (COCO (1.09, 1.135), MPII (1.25, 1.25)).
        """
        return cls.from_region(Region.from_box(box).scaled(*bbox_padding).fit_aspect(size), size)

    def flipped(self) -> "Crop":
        """The crop with left and right exchanged around its middle (x becomes width - x)."""
        flip = np.array([[-1.0, 0.0], [0.0, 1.0]])
        matrix = flip @ self.matrix
        matrix[0, 2] += self.size[1]
        return replace(self, matrix=matrix)

    def split_quadrants(self) -> "list[Crop]":
        """Its quarters in reading order, as crops; both sides of the input must be even."""
        height, width = self.size[0] // 2, self.size[1] // 2
        shifts = [(0, 0), (width, 0), (0, height), (width, height)]
        return [
            Crop(self.matrix - np.pad(np.array([shift]).T, ((0, 0), (2, 0))), (height, width))
            for shift in shifts
        ]

    def cut(self, image: Image) -> Image:
        """The input's pixels, (*size, 3) uint8; bilinear, black outside the image."""
        height, width = self.size
        pixels = cv2.warpAffine(image, self.matrix, (width, height), flags=cv2.INTER_LINEAR)
        return np.asarray(pixels, np.uint8)

    def warp_antialiased(self, image: Image) -> Image:
        """As `cut`, for crops that show much of an image: one that shrinks a lot is shrunk by means first.

        Bilinear sampling alone would leave most pixels of a large image unread.
        """
        if self.scale > 0.5:
            return self.cut(image)
        size = [max(round(side * 2 * self.scale), 1) for side in image.shape[1::-1]]
        downscale_image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        return self._of_resized(*np.divide(image.shape[1::-1], size)).cut(downscale_image)

    @property
    def scale(self) -> float:
        """Input pixels per image pixel."""
        return float(np.hypot(*self.matrix[:, 0]))

    @property
    def downscale(self) -> Downscale:
        """How much smaller the image may be read without loss: two pixels of it are left for each of the input."""
        return next((times for times in reversed(DOWNSCALES) if times * self.scale <= 0.5), 1)

    def for_downscaled(self, times: Downscale) -> "Crop":
        """The same crop of the image when it is narrower and lower by so many `times`."""
        return self._of_resized(times, times)

    def _of_resized(self, narrower: float, lower: float) -> "Crop":
        """A pixel of the smaller image is a mean of pixels, and lies in their middle."""
        to_whole = np.array(
            [[narrower, 0.0, (narrower - 1) / 2], [0.0, lower, (lower - 1) / 2], [0.0, 0.0, 1.0]]
        )
        return replace(self, matrix=self.matrix @ to_whole)

    def to_input(self, points: ArrayLike) -> FloatArray:
        """Image pixels -> input pixels, (..., 2)."""
        return _apply(self.matrix, points)

    def to_image(self, points: ArrayLike) -> FloatArray:
        """Input pixels -> image pixels, (..., 2)."""
        inverse = np.linalg.inv(self.matrix[:, :2])
        return _apply(np.column_stack([inverse, -inverse @ self.matrix[:, 2]]), points)


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
