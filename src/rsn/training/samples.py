"""A picture of what a network finds in the first photos of its validation set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsn.crops import Image
from rsn.evaluation.run import ImageBoxes
from rsn.images import read_image, write_image
from rsn.inference.drawing import draw_people
from rsn.people import Person
from rsn.skeletons import Skeleton

PHOTOS, COLUMNS = 12, 4
TILE = (240, 320)  # height, width in pixels


def write_samples(
    path: Path, images: Sequence[ImageBoxes], found: Sequence[dict[str, Any]], skeleton: Skeleton
) -> None:
    """Draw the people of a COCO results list into the first photos and write them as one picture.

    Raises:
        ImageError: a photo cannot be read. RsnError: the picture cannot be written.
    """
    tiles = []
    for image in images[:PHOTOS]:
        people = [Person.from_dict(entry) for entry in found if entry["image_id"] == image.image.id]
        tiles.append(_tile(draw_people(read_image(image.image.path), people, skeleton)))
    tiles += [np.full((*TILE, 3), 255, np.uint8)] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
    write_image(path, np.vstack(rows))


def _tile(picture: Image) -> Image:
    """The picture scaled into a tile, on white."""
    height, width = picture.shape[:2]
    scale = min(TILE[0] / height, TILE[1] / width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    tile = np.full((*TILE, 3), 255, np.uint8)
    top, left = (TILE[0] - size[1]) // 2, (TILE[1] - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = small
    return tile
