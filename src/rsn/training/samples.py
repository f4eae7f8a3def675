"""An image of what a network finds in the first images of its validation set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsn.evaluation.prediction import ImageBoxes
from rsn.geometry import Image
from rsn.io.images import read_image, write_image
from rsn.results import Person
from rsn.skeletons import Skeleton
from rsn.visualization.drawing import draw_people

IMAGES, COLUMNS = 12, 4
TILE = (240, 320)  # height, width in pixels


def write_samples(
    path: Path, images: Sequence[ImageBoxes], found: Sequence[dict[str, Any]], skeleton: Skeleton
) -> None:
    """Draw the people of a COCO results list into the first images and write them as one image.

    Raises:
        ImageError: an image cannot be read. RsnError: the image cannot be written.
    """
    tiles = []
    for image in images[:IMAGES]:
        people = [Person.from_dict(entry) for entry in found if entry["image_id"] == image.image.id]
        tiles.append(_tile(draw_people(read_image(image.image.path), people, skeleton)))
    tiles += [np.full((*TILE, 3), 255, np.uint8)] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
    write_image(path, np.vstack(rows))


def _tile(image: Image) -> Image:
    """The image scaled into a tile, on white."""
    height, width = image.shape[:2]
    scale = min(TILE[0] / height, TILE[1] / width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    tile = np.full((*TILE, 3), 255, np.uint8)
    top, left = (TILE[0] - size[1]) // 2, (TILE[1] - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = small
    return tile
