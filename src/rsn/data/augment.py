"""The augmentations of the reference training: half body, scale, rotation, flipping (MSPN's public code).

Everything random is drawn from the generator that is passed in, so that a seed fixes the crop.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsn.data.annotations import PersonAnnotation
from rsn.geometry import Crop, Image, Region
from rsn.skeletons import Skeleton

MIN_HALF = 3  # a half body has more marked keypoints than this, where there is a choice


@dataclass(frozen=True)
class Augmentation:
    """How a training crop differs from the plain box; the defaults are the reference's for COCO.

    Extents are factors on (width, height) of the box, before it is brought to the input's aspect ratio.
    """

    bbox_padding: tuple[float, float] = (1.05, 1.05)
    jitter: tuple[float, float] = (0.6, 0.8)  # times U(0, 1), independently, on top of the extension
    half_body_probability: float = 0.3
    half_body_min_keypoints: int = 3  # only for people with more marked keypoints than this
    half_body_jitter: tuple[float, float] = (0.6, 0.8)
    upper_body_probability: float = 0.6915  # the reference asks randn() < 0.5, which is not one half
    scale: tuple[float, float] = (0.6, 1.0)  # factor on the extent, after all else
    rotation_probability: float = 0.5
    max_rotation: float = 45.0  # degrees, to both sides
    flip_probability: float = 0.5
    color_jitter: float = (
        0.0  # largest change of each channel's gain, and of the brightness as a share of white; ours
    )


@dataclass(frozen=True, eq=False)
class AugmentedCrop:
    """A training crop: `crop` cuts the pixels, keypoints (K, 2) and visibility (K,) are what stands in them.

    keypoints are in input pixels; keypoints outside the input have visibility 0.
    """

    crop: Crop
    keypoints: NDArray[np.float32]
    visibility: NDArray[np.int64]


def augment(
    person: PersonAnnotation,
    skeleton: Skeleton,
    size: tuple[int, int],
    settings: Augmentation,
    random: np.random.Generator,
) -> AugmentedCrop:
    """Draw one training crop of a person; size is the input's (height, width)."""
    region = _half_body(person, skeleton, settings, random)
    if region is None:
        grow = np.multiply(settings.bbox_padding, 1 + random.random(2) * settings.jitter)
        region = Region.from_box(person.box).scaled(*grow)
    region = region.fit_aspect(size)
    scale = random.uniform(*settings.scale)
    rotation = 0.0
    if random.random() < settings.rotation_probability:
        rotation = random.uniform(-settings.max_rotation, settings.max_rotation)
    flipped = random.random() < settings.flip_probability
    region = region.scaled(scale, scale)
    if flipped:  # the reference turns the flipped image, which is turning this one the other way
        crop = Crop.from_region(region, size, rotation=-rotation).flipped()
        return _keypoints_in(crop, person, list(skeleton.flip))
    crop = Crop.from_region(region, size, rotation=rotation)
    return _keypoints_in(crop, person, list(range(len(skeleton))))


def sample_color_factors(most: float, random: np.random.Generator) -> NDArray[np.float32]:
    """(4,): gains of red, green and blue, and what is added to all of them, of 255; see `Augmentation.color_jitter`."""
    if not most:
        return np.array([1, 1, 1, 0], np.float32)
    changes = random.uniform(-most, most, 4)
    return np.asarray([*(1 + changes[:3]), 255 * changes[3]], np.float32)


def apply_color_factors(pixels: Image, colors: NDArray[np.float32]) -> Image:
    """Apply what `sample_color_factors` drew; (H, W, 3) uint8."""
    table = np.arange(256, dtype=np.float32)[:, None] * colors[:3] + colors[3]
    return np.asarray(cv2.LUT(pixels, table.clip(0, 255).astype(np.uint8)[:, None]), np.uint8)


def _keypoints_in(crop: Crop, person: PersonAnnotation, order: list[int]) -> AugmentedCrop:
    keypoints = crop.to_input(person.keypoints)[order]
    visibility = person.visibility[order]
    inside = ((keypoints >= 0) & (keypoints < (crop.size[1], crop.size[0]))).all(1)
    visibility = np.where(inside, visibility, np.minimum(visibility, 0))
    return AugmentedCrop(crop, keypoints.astype(np.float32), visibility)


def _half_body(
    person: PersonAnnotation, skeleton: Skeleton, settings: Augmentation, random: np.random.Generator
) -> Region | None:
    """The region of the upper or the lower half, or None for the whole skeleton."""
    marked = np.flatnonzero(person.visibility > 0)
    if len(marked) <= settings.half_body_min_keypoints or random.random() >= settings.half_body_probability:
        return None
    upper = [keypoint for keypoint in marked if keypoint in skeleton.upper_body]
    lower = [keypoint for keypoint in marked if keypoint not in skeleton.upper_body]
    prefers_upper = random.random() < settings.upper_body_probability
    chosen = upper if (prefers_upper and len(upper) > MIN_HALF) or len(lower) <= MIN_HALF else lower
    if len(chosen) < MIN_HALF:
        return None
    points = person.keypoints[chosen].astype(np.float64)
    low, high = points.min(0), points.max(0)
    if (high - low).min() <= 0:
        return None
    grow = 1 + random.random(2) * settings.half_body_jitter
    return Region.from_box([*low, *(high - low)]).scaled(*grow)
