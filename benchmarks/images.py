"""Generated images: soft noise, JPEG files of about the size of real ones, and boxes of people in them."""

from pathlib import Path

import cv2
import numpy as np

SIZE = (480, 640)  # height, width


def write_images(folder: Path, count: int, size: tuple[int, int] = SIZE, *, grain: int = 4) -> list[Path]:
    """Write JPEG files of a size (height, width); the same ones every time.

    grain: pixels per patch of noise; images of cameras have fewer bytes per pixel than images for the web.
    """
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0)
    paths = [folder / f"{number:05d}.jpg" for number in range(count)]
    for path in paths:
        small = noise.integers(0, 255, (size[0] // grain, size[1] // grain, 3)).astype(np.uint8)
        cv2.imwrite(str(path), cv2.resize(small, size[::-1]))
    return paths


def boxes(people: int, size: tuple[int, int] = SIZE) -> list[list[float]]:
    """Return boxes (x, y, width, height) of people side by side."""
    width = size[1] / people
    return [[number * width, size[0] / 12, width, size[0] / 1.2] for number in range(people)]
