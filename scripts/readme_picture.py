"""Put the pictures that `make demo` leaves in out/ side by side as docs/demo.jpg, the picture of the README.

Usage: python scripts/readme_picture.py
"""

from pathlib import Path

import cv2
import numpy as np

from rsn.crops import Image
from rsn.images import read_image, write_image

ROOT = Path(__file__).parents[1]
PICTURES = ("astronaut_poses.jpg", "grace_hopper_poses.jpg")
HEIGHT = 480


def main() -> None:
    """Write docs/demo.jpg."""
    pictures = [_scaled(read_image(ROOT / "out" / name)) for name in PICTURES]
    write_image(ROOT / "docs" / "demo.jpg", np.hstack(pictures))


def _scaled(image: Image) -> Image:
    width = round(image.shape[1] * HEIGHT / image.shape[0])
    return np.asarray(cv2.resize(image, (width, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


if __name__ == "__main__":
    main()
