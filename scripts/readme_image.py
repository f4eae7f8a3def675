"""Draw docs/demo.jpg, the image of the README, with the weights in the package.

Usage: python scripts/readme_image.py
"""

import sys
from pathlib import Path

from demo_images import portraits

from rsn import PoseEstimator
from rsn.io.images import write_image
from rsn.visualization.drawing import draw_people

IMAGE = Path(__file__).parents[1] / "docs" / "demo.jpg"


def main() -> None:
    """Draw the image if exactly two people are detected."""
    image, estimator = portraits(), PoseEstimator(flip=True)
    people = estimator(image)
    if len(people) != 2:
        sys.exit(f"{len(people)} people were detected instead of 2; the image is not changed")
    write_image(IMAGE, draw_people(image, people, estimator.metadata.skeleton))


if __name__ == "__main__":
    main()
