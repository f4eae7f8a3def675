"""AP of a people detector, and what its scores are worth, on pictures of a COCO file in which everybody is labelled.

Usage: python scripts/measure_detector.py DETECTOR ANNOTATIONS.json IMAGES [FIGURES.json]

DETECTOR is whatever `rsn predict --detector` takes. FIGURES.json is written, for scripts/ship_weights.py.
"""

import json
import sys
from pathlib import Path

from rsn.datasets.coco import read_json
from rsn.evaluation.boxes import measure_detector
from rsn.files import write_atomically
from rsn.inference.detection import open_detector

BOX_THRESHOLD = 0.02  # low, so that the figures see how precision falls


def main(detector: str, annotations: Path, images: Path, figures: Path | None = None) -> None:
    """Print AP and AP50 in percent, and precision and recall of the boxes above each score."""
    scores = measure_detector(
        open_detector(detector, box_threshold=BOX_THRESHOLD), read_json(annotations), images
    )
    print(f"AP {100 * scores.ap:.1f}, AP50 {100 * scores.ap50:.1f}")
    for percent in range(10, 95, 5):
        precision, recall = scores.precision_and_recall(percent / 100)
        print(f"score {percent / 100:.2f}: precision {100 * precision:.0f}, recall {100 * recall:.0f}")
    if figures:
        document = {"figures": {"AP": scores.ap, "AP50": scores.ap50}}
        write_atomically(figures, (json.dumps(document) + "\n").encode())


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    main(sys.argv[1], *map(Path, sys.argv[2:]))
