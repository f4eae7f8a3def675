"""The augmentations of the reference training (MSPN's public code): half body, scale, rotation and flip.

All random numbers come from the generator that is passed in, so that a seed determines the crop.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsn.data.annotations import PersonAnnotation
from rsn.geometry import Crop, Image, Region
from rsn.skeletons import Skeleton

CUTOUT_SIDES = (0.12, 0.4)  # of the width of the crop
MIN_HALF = 3  # marked keypoints that a half must have; if both halves have more, one is chosen at random


@dataclass(frozen=True)
class Augmentation:
    """How training crops vary. The defaults are the reference's for COCO.

    bbox_padding: factors on (width, height) of the box, before it is enlarged to the input's aspect ratio; each is
        multiplied by 1 + `jitter` x a random number in [0, 1].
    half_body_probability: of a crop of the upper or lower half, for people with more marked keypoints than
        `half_body_min_keypoints`; its size varies by `half_body_jitter`.
    upper_body_probability: of preferring the upper half. (The reference compares a normal number with 0.5.)
    scale: range of a factor on the size. max_rotation: in degrees, to either side.
    color_jitter: largest change of the factor on each channel, and of the brightness as a fraction of white. It is
        not in the reference.
    cutout_probability: of a gray rectangle over a part of the crop, whose sides are 0.12 to 0.4 of the crop's width, so
        that hidden keypoints must be found from others (DeVries and Taylor, *Improved Regularization of Convolutional
        Neural Networks with Cutout*, 2017). It is not in the reference.
    """

    bbox_padding: tuple[float, float] = (1.05, 1.05)
    jitter: tuple[float, float] = (0.6, 0.8)
    half_body_probability: float = 0.3
    half_body_min_keypoints: int = 3
    half_body_jitter: tuple[float, float] = (0.6, 0.8)
    upper_body_probability: float = 0.6915
    scale: tuple[float, float] = (0.6, 1.0)
    rotation_probability: float = 0.5
    max_rotation: float = 45.0
    flip_probability: float = 0.5
    color_jitter: float = 0.0
    cutout_probability: float = 0.0


@dataclass(frozen=True, eq=False)
class AugmentedCrop:
    """A training crop with its labels.

    keypoints: (K, 2) in input pixels. visibility: (K,); of keypoints outside the input it is 0.
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
    """Sample one training crop of a person; size is the input's (height, width)."""
    region = _half_body(person, skeleton, settings, random)
    if region is None:
        factors = np.multiply(settings.bbox_padding, 1 + random.random(2) * settings.jitter)
        region = Region.from_box(person.box).scaled(*factors)
    region = region.fit_aspect(size)
    scale = random.uniform(*settings.scale)
    rotation = 0.0
    if random.random() < settings.rotation_probability:
        rotation = random.uniform(-settings.max_rotation, settings.max_rotation)
    flip = random.random() < settings.flip_probability
    # The reference rotates the flipped image, which is rotating the image the other way before flipping.
    crop = Crop.from_region(region.scaled(scale, scale), size, rotation=-rotation if flip else rotation)
    crop = crop.flipped() if flip else crop
    order = list(skeleton.flip_indices) if flip else list(range(len(skeleton)))
    keypoints, visibility = crop.to_input(person.keypoints)[order], person.visibility[order]
    inside = ((keypoints >= 0) & (keypoints < (size[1], size[0]))).all(1)
    visibility = np.where(inside, visibility, np.minimum(visibility, 0))
    return AugmentedCrop(crop, keypoints.astype(np.float32), visibility)


def sample_color_factors(most: float, random: np.random.Generator) -> NDArray[np.float32]:
    """(4,): factors on red, green and blue, and the value of 255 added to all; see `Augmentation.color_jitter`."""
    if not most:
        return np.array([1, 1, 1, 0], np.float32)
    changes = random.uniform(-most, most, 4)
    return np.asarray([*(1 + changes[:3]), 255 * changes[3]], np.float32)


def apply_color_factors(pixels: Image, colors: NDArray[np.float32]) -> Image:
    """Change the colors of (H, W, 3) uint8 by what `sample_color_factors` returned."""
    table = np.arange(256, dtype=np.float32)[:, None] * colors[:3] + colors[3]
    return np.asarray(cv2.LUT(pixels, table.clip(0, 255).astype(np.uint8)[:, None]), np.uint8)


def sample_cutout(probability: float, size: tuple[int, int], random: np.random.Generator) -> NDArray[np.float32]:
    """(5,): left, top, right, bottom in input pixels and gray value of a rectangle, which is empty if there is none."""
    if not probability or random.random() >= probability:
        return np.zeros(5, np.float32)
    center = random.random(2) * (size[1], size[0])
    half = random.uniform(*CUTOUT_SIDES, 2) * size[1] / 2
    return np.asarray([*(center - half), *(center + half), random.uniform(0, 255)], np.float32)


def apply_cutout(pixels: Image, cutout: NDArray[np.float32]) -> Image:
    """Cover what `sample_cutout` returned in (H, W, 3) uint8."""
    left, top, right, bottom = np.ceil(cutout[:4].clip(0)).astype(int)
    pixels[top:bottom, left:right] = int(cutout[4])
    return pixels


def _half_body(
    person: PersonAnnotation, skeleton: Skeleton, settings: Augmentation, random: np.random.Generator
) -> Region | None:
    """The region of the upper or the lower half; None for the whole body."""
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
    factors = 1 + random.random(2) * settings.half_body_jitter
    return Region.from_box([*low, *(high - low)]).scaled(*factors)
