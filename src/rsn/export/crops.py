"""Crops for checking an export against PyTorch, and for calibrating 8-bit numbers."""

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

MAX_CALIBRATION = 100  # people; three times as many take three times as long
NUM_DRAWN, DRAWN_SIZE = 4, 320  # drawn images, and their side in pixels
# Boxes in an image, as fractions of its width and height: all of it, the middle, the left and the right half.
_BOXES = ((0.0, 0.0, 1.0, 1.0), (0.25, 0.1, 0.5, 0.8), (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 0.5, 1.0))


def crops_to_check(metadata: Metadata, image_files: Sequence[Path]) -> Tensor:
    """Four crops of every image, or of drawn people if there are no images; always the same ones.

    Returns:
        (N, 3, H, W) uint8 RGB, of the metadata's input size.

    Raises:
        ImageError: an image cannot be read.
    """
    images = map(read_image, image_files) if image_files else _drawn_people()
    return _stack([crop for image in images for crop in _crops_of(image, metadata)])


def crops_to_calibrate(metadata: Metadata, people: PoseDataset) -> Tensor:
    """Crops of up to 100 labeled people, spread evenly over a dataset, as in prediction.

    Returns:
        (N, 3, H, W) uint8 RGB, of the metadata's input size.

    Raises:
        AnnotationError: no person has keypoints and a box. ImageError: an image cannot be read.
    """
    valid = people.filter_valid()
    if not len(valid):
        raise AnnotationError(f"no person is left to calibrate with: {valid.summary()}")
    indices = np.linspace(0, len(valid) - 1, min(len(valid), MAX_CALIBRATION)).astype(int)
    chosen = [valid.people[index] for index in indices]
    return _stack([_crop(person.box, metadata).warp(read_image(person.image.path)) for person in chosen])


def _stack(crops: Sequence[Image]) -> Tensor:
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous()


def _crops_of(image: Image, metadata: Metadata) -> Iterator[Image]:
    height, width = image.shape[:2]
    for box in _BOXES:
        yield _crop(np.multiply(box, (width, height, width, height)), metadata).warp(image)


def _crop(box: np.ndarray, metadata: Metadata) -> Crop:
    padding = metadata.bbox_padding if isinstance(metadata, ModelMetadata) else (1.0, 1.0)
    return Crop.from_box(box, metadata.input_size, padding)


def _drawn_people() -> Iterator[Image]:
    """Images of a head, a trunk and four limbs in random positions on noise."""
    random = np.random.default_rng(0)
    for _ in range(NUM_DRAWN):
        noise = random.integers(0, 256, (DRAWN_SIZE // 8, DRAWN_SIZE // 8, 3)).astype(np.uint8)
        image = cv2.resize(noise, (DRAWN_SIZE, DRAWN_SIZE), interpolation=cv2.INTER_CUBIC)
        skin, cloth = random.integers(0, 256, (2, 3)).tolist()
        cv2.ellipse(image, (160, 140), (32, 60), 0, 0, 360, cloth, -1)
        cv2.circle(image, (160, 55), 24, skin, -1)
        for x, y, color in ((135, 100, skin), (185, 100, skin), (148, 195, cloth), (172, 195, cloth)):
            middle = np.add((x, y), random.integers(-45, 46, 2))
            end = np.add(middle, random.integers(-20, 71, 2))
            corners = np.array([(x, y), middle, end], np.int32)
            cv2.polylines(image, [corners], isClosed=False, color=color, thickness=16)
        yield np.asarray(image, np.uint8)
