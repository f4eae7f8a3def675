"""Measure AP, precision and recall of a person detector on fully labeled images.

Usage: python scripts/measure_detector.py DETECTOR ANNOTATIONS.json IMAGES [TABLE.csv]

DETECTOR is a value of `rsn predict --detector`. ANNOTATIONS.json is a COCO file; images with `annotations_complete`
count. With TABLE.csv, a detector trained by rsn is measured with several image sizes, with and without the flip test:
one row each, with the lowest box threshold of a precision of at least 70 %, and the operations of the network.
"""

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np

from rsn.detection import open_detector
from rsn.detection.starter import StarterDetector
from rsn.evaluation.detection import BoxMetrics, measure_detector
from rsn.io.validation import read_json
from rsn.models.complexity import complexity
from rsn.weights.loading import load_network
from rsn.weights.metadata import DetectorSettings

BOX_THRESHOLD = 0.02  # low, so that AP covers low precisions
MIN_PRECISION = 0.70
IMAGE_SIZES = ((448,), (576,), (256, 448), (256, 512), (256, 576), (256, 448, 576))


def main(detector: str, annotations: Path, images: Path, table: Path | None = None) -> None:
    """Print AP and AP50 in percent, and precision and recall at each threshold; or write the table."""
    document = read_json(annotations)
    if table:
        network, metadata = load_network("rsn18.people" if detector == "starter" else detector)
        rows = []
        for sizes in IMAGE_SIZES:
            for flip_test in (False, True):
                settings = DetectorSettings(sizes, flip_test, BOX_THRESHOLD)
                one = StarterDetector.from_network(network, metadata, backend="auto", device="cpu", settings=settings)
                rows.append(settings_row(one, document, images))
                print(rows[-1], flush=True)
        with table.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return
    scores = measure_detector(open_detector(detector, box_threshold=BOX_THRESHOLD), document, images)
    print(f"AP {100 * scores.ap:.1f}, AP50 {100 * scores.ap50:.1f}")
    for percent in range(10, 95, 5):
        precision, recall = scores.precision_and_recall(percent / 100)
        print(f"threshold {percent / 100:.2f}: precision {100 * precision:.0f}, recall {100 * recall:.0f}")


def settings_row(detector: StarterDetector, document: dict[str, Any], images: Path) -> dict[str, object]:
    """Return a row of the table."""
    operations = []
    size = complexity(detector.metadata.model, num_keypoints=detector.metadata.num_outputs)

    def counted(image: Any) -> Any:
        inputs = detector.preprocess(image)
        operations.append(sum(2 * len(crops) * size.at(crops.shape[1:3]).multiply_adds for crops in inputs.pixels))
        return detector(image)

    scores = measure_detector(counted, document, images)
    threshold = lowest_threshold(scores)
    precision, recall = scores.precision_and_recall(threshold)
    settings = detector.settings
    return {
        "image_sizes": "+".join(map(str, settings.image_sizes)),
        "flip_test": "yes" if settings.flip_test else "no",
        "AP": f"{100 * scores.ap:.1f}",
        "AP50": f"{100 * scores.ap50:.1f}",
        "box_threshold": f"{threshold:.2f}",
        "precision": f"{100 * precision:.0f}",
        "recall": f"{100 * recall:.0f}",
        "gflop_per_image": f"{np.mean(operations) / 1e9:.0f}",
    }


def lowest_threshold(scores: BoxMetrics) -> float:
    """Return the lowest box threshold, in steps of 0.01, with a precision of at least `MIN_PRECISION`."""
    steps = (percent / 100 for percent in range(1, 100))
    return next(step for step in steps if scores.precision_and_recall(step)[0] >= MIN_PRECISION)


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    main(sys.argv[1], *map(Path, sys.argv[2:]))
