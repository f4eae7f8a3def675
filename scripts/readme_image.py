"""Draw docs/demo.jpg, the image of the README, with the weights in the package.

Usage: python scripts/readme_image.py
"""

import sys
from pathlib import Path

from demo_images import portraits

from rsn import PoseEstimator

IMAGE = Path(__file__).parents[1] / "docs" / "demo.jpg"


def main() -> None:
    """Draw the image if exactly two people are detected."""
    image, estimator = portraits(), PoseEstimator(flip_test=True)
    result = estimator(image)
    if len(result) != 2:
        sys.exit(f"{len(result)} people were detected instead of 2; the image is not changed")
    result.save(IMAGE)


if __name__ == "__main__":
    main()
