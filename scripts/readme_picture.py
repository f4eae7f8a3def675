"""Draw docs/demo.jpg, the picture of the README: people found, and their joints, by the weights in the package.

Usage: python scripts/readme_picture.py
"""

import sys
from pathlib import Path

from demo_photos import portraits

from rsn import PoseEstimator
from rsn.images import write_image
from rsn.inference.drawing import draw_people

PICTURE = Path(__file__).parents[1] / "docs" / "demo.jpg"


def main() -> None:
    """Draw it, unless somebody was missed or invented."""
    image, estimator = portraits(), PoseEstimator(flip=True)
    people = estimator(image)
    if len(people) != 2:
        sys.exit(f"{len(people)} people were found in the portraits of two; the picture stays as it is")
    write_image(PICTURE, draw_people(image, people, estimator.card.skeleton))


if __name__ == "__main__":
    main()
