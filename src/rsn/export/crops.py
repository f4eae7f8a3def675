"""Crops that an export is compared with its network on, and those whose feature maps give 8 bits their ranges."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from rsn.data.annotations import PoseDataset
from rsn.errors import AnnotationError
from rsn.geometry import Crop, Image
from rsn.io.images import read_image
from rsn.weights.metadata import Metadata, ModelMetadata

_MOST = 100  # people whose crops are calibrated with; three times as many take three times as long
_DRAWN = 4  # images
_SIZE = 320  # of them, in pixels
# Boxes in an image, as fractions of its width and height: all of it, its middle, its left and its right half.
_BOXES = ((0.0, 0.0, 1.0, 1.0), (0.25, 0.1, 0.5, 0.8), (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 0.5, 1.0))


def crops_to_check(metadata: Metadata, image_files: Sequence[Path]) -> Tensor:
    """Four crops of every image, or of every drawn image where there are no images; always the same ones.

    Returns:
        (N, 3, H, W) uint8 RGB, of the metadata's input size.

    Raises:
        ImageError: an image cannot be read.
    """
    stored_images = map(read_image, image_files) if image_files else _drawn_images()
    crops = [crop for image in stored_images for crop in _crops_of(image, metadata)]
    return _stacked(crops)


def crops_to_calibrate(metadata: Metadata, people: PoseDataset) -> Tensor:
    """Crops of up to 100 labeled people, spread evenly over a dataset, as prediction cuts them.

    Returns:
        (N, 3, H, W) uint8 RGB, of the metadata's input size.

    Raises:
        AnnotationError: nobody in it has keypoints and a box. ImageError: an image cannot be read.
    """
    known = people.filter_valid()
    if not len(known):
        raise AnnotationError(f"nobody to calibrate with is left: {known.summary()}")
    places = np.linspace(0, len(known) - 1, min(len(known), _MOST)).astype(int)
    chosen = [known.people[place] for place in places]
    return _stacked(
        [
            Crop.from_box(person.box, metadata.input_size, _bbox_padding(metadata)).warp(
                read_image(person.image.path)
            )
            for person in chosen
        ]
    )


def _stacked(crops: Sequence[Image]) -> Tensor:
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous()


def _crops_of(image: Image, metadata: Metadata) -> Iterator[Image]:
    height, width = image.shape[:2]
    for box in _BOXES:
        pixels = np.multiply(box, (width, height, width, height))
        yield Crop.from_box(pixels, metadata.input_size, _bbox_padding(metadata)).warp(image)


def _bbox_padding(metadata: Metadata) -> tuple[float, float]:
    return metadata.bbox_padding if isinstance(metadata, ModelMetadata) else (1.0, 1.0)


def _drawn_images() -> Iterator[Image]:
    """Metrics of a head, a trunk and four limbs, standing in different ways before noise."""
    random = np.random.default_rng(0)
    for _ in range(_DRAWN):
        noise = random.integers(0, 256, (_SIZE // 8, _SIZE // 8, 3)).astype(np.uint8)
        image = cv2.resize(noise, (_SIZE, _SIZE), interpolation=cv2.INTER_CUBIC)
        skin, cloth = random.integers(0, 256, (2, 3)).tolist()
        cv2.ellipse(image, (160, 140), (32, 60), 0, 0, 360, cloth, -1)
        cv2.circle(image, (160, 55), 24, skin, -1)
        for x, y, color in ((135, 100, skin), (185, 100, skin), (148, 195, cloth), (172, 195, cloth)):
            middle = np.add((x, y), random.integers(-45, 46, 2))
            end = np.add(middle, random.integers(-20, 71, 2))
            corners = np.array([(x, y), middle, end], np.int32)
            cv2.polylines(image, [corners], isClosed=False, color=color, thickness=16)
        yield np.asarray(image, np.uint8)
