"""Images of the poses that a network predicts for its validation set: whole images, and some people in a row."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsn.data.annotations import PersonAnnotation
from rsn.evaluation.labeled import match_results
from rsn.evaluation.prediction import ImageBoxes
from rsn.geometry import Crop, Image, Region
from rsn.io.images import read_image, write_image
from rsn.results import Person
from rsn.skeletons import Skeleton
from rsn.visualization.drawing import draw_people

IMAGES, COLUMNS = 12, 4
TILE = (240, 320)  # height, width in pixels
PEOPLE, ROW_TILE = 8, (224, 168)


def write_samples(
    path: Path, images: Sequence[ImageBoxes], results: Sequence[dict[str, Any]], skeleton: Skeleton
) -> None:
    """Draw COCO results into the first images, and write these as one image.

    Raises:
        ImageError: an image cannot be read. RsnError: the image cannot be written.
    """
    tiles = []
    for image in images[:IMAGES]:
        people = [Person.from_dict(entry) for entry in results if entry["image_id"] == image.image.id]
        tiles.append(_fit_into_tile(draw_people(read_image(image.image.path), people, skeleton)))
    write_image(path, tile_images(tiles, COLUMNS))


def write_row(
    path: Path, people: Sequence[PersonAnnotation], results: Sequence[dict[str, Any]], skeleton: Skeleton
) -> None:
    """Draw the predicted poses of a few labeled people, spread over all, side by side. The people are always the same.

    Raises:
        ImageError: an image cannot be read. RsnError: the image cannot be written.
    """
    chosen = [people[index] for index in np.linspace(0, len(people) - 1, min(len(people), PEOPLE)).round().astype(int)]
    tiles = []
    for person, entry in zip(chosen, match_results(chosen, results), strict=True):
        region = Region.from_box(person.box).scaled(1.4, 1.3).fit_aspect(ROW_TILE)
        crop = Crop.from_region(region, ROW_TILE)
        tile = crop.warp_antialiased(read_image(person.image.path))
        if entry is not None:
            pose = Person.from_dict(entry)
            moved = Person.from_keypoints(pose.bbox * crop.scale, crop.to_input(pose.keypoints), pose.raw_scores)
            tile = draw_people(tile, [moved], skeleton)
        tiles.append(tile)
    write_image(path, tile_images(tiles, len(tiles)))


def tile_images(images: Sequence[Image], columns: int) -> Image:
    """Images of one size in rows of so many, filled up with white."""
    blanks = [np.full_like(images[0], 255)] * (-len(images) % columns)
    tiles = [*images, *blanks]
    return np.vstack([np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)])


def _fit_into_tile(image: Image) -> Image:
    """The image, scaled, in the center of a white tile."""
    height, width = image.shape[:2]
    scale = min(TILE[0] / height, TILE[1] / width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    tile = np.full((*TILE, 3), 255, np.uint8)
    top, left = (TILE[0] - size[1]) // 2, (TILE[1] - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return tile
