"""Write an image of two people, joined from two public-domain portraits, into a folder.

scikit-image includes Eileen Collins, matplotlib Grace Hopper; both are images of the US government.

Usage: python scripts/demo_images.py FOLDER
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from matplotlib.cbook import get_sample_data
from skimage.data import astronaut

from rsn.geometry import Image
from rsn.io.images import read_image, write_image

HEIGHT = 512


def main(folder: Path) -> None:
    """Save portraits.png."""
    folder.mkdir(parents=True, exist_ok=True)
    write_image(folder / "portraits.png", portraits())


def portraits() -> Image:
    """Return both side by side: (512, 949, 3) uint8 RGB."""
    hopper = read_image(Path(get_sample_data("grace_hopper.jpg", asfileobj=False)))
    return np.hstack([_scaled(astronaut()), _scaled(hopper)])


def _scaled(image: Image) -> Image:
    width = round(image.shape[1] * HEIGHT / image.shape[0])
    return np.asarray(cv2.resize(image, (width, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/demo_images.py FOLDER")
    main(Path(sys.argv[1]))
