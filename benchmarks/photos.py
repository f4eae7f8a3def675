"""Photos that anyone has: soft noise, as many bytes to a JPEG as photos have, with people's boxes in them."""

from pathlib import Path

import cv2
import numpy as np

SIZE = (480, 640)  # height, width


def write_photos(folder: Path, count: int) -> list[Path]:
    """So many JPEG files of 640 x 480 pixels; the same ones every time."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0)
    paths = [folder / f"{number:05d}.jpg" for number in range(count)]
    for path in paths:
        small = noise.integers(0, 255, (SIZE[0] // 4, SIZE[1] // 4, 3)).astype(np.uint8)
        cv2.imwrite(str(path), cv2.resize(small, SIZE[::-1]))
    return paths


def boxes(people: int) -> list[list[float]]:
    """Boxes (x, y, width, height) of so many people beside each other."""
    width = SIZE[1] / people
    return [[number * width, 40.0, width, 400.0] for number in range(people)]
