"""AP of a people detector on a COCO file, on the pictures in which everybody is labelled.

Usage: python scripts/measure_detector.py DETECTOR ANNOTATIONS.json IMAGES

DETECTOR is whatever `rsn predict --detector` takes.
"""

import sys
from pathlib import Path

from rsn.datasets.coco import read_json
from rsn.evaluation.boxes import measure_detector
from rsn.inference.detection import open_detector

LEAST_SCORE = 0.02  # low, so that the figures see how precision falls


def main(detector: str, annotations: Path, images: Path) -> None:
    """Print AP and AP50 in percent."""
    scores = measure_detector(
        open_detector(detector, least_score=LEAST_SCORE), read_json(annotations), images
    )
    print(f"AP {100 * scores.ap:.1f}, AP50 {100 * scores.ap50:.1f}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
