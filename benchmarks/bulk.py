"""What `rsn bulk` costs: one worker, two, and `rsn predict` on the same photos, taken in turns.

    python benchmarks/bulk.py --photos 400 --rounds 3 --output benchmarks/bulk.csv

Photos of noise, 640x480, each taken as one person by `rsn18.starter`. Every round runs all of them, so
that others who use the machine slow all; compare figures of one round. `predict` also draws and writes pictures,
so its road alone is timed as well: `estimate`, `estimate_photos` in this process without a file written.
start_s: until the first part could begin, the seconds of a run of one photo.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROAD = (
    "import sys, time; from pathlib import Path; from rsn import PoseEstimator;"
    "from rsn.inference.boxes import whole_image; from rsn.inference.photos import estimate_photos;"
    "paths = sorted(Path(sys.argv[1]).iterdir());"
    "estimator = PoseEstimator(device='cpu', engine='torch');"
    "print(sum(1 for _ in estimate_photos(estimator, paths, whole_image, print)))"
)


def main() -> None:
    """Run it and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="CSV to write")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        many, one = write_photos(folder / "many", options.photos), write_photos(folder / "one", 1)
        for number in range(options.rounds):
            for way in ("estimate", "predict", "bulk 1", "bulk 2"):
                start, total = (seconds(way, photos, folder / f"{way} {number}") for photos in (one, many))
                rows.append(
                    {
                        "round": number,
                        "way": way,
                        "photos": options.photos,
                        "start_s": round(start, 1),
                        "total_s": round(total, 1),
                        "photos_a_second_once_started": round((options.photos - 1) / (total - start), 2),
                        "cores": os.cpu_count(),
                        "load_of_the_machine": round(os.getloadavg()[0], 1),
                    }
                )
                print(rows[-1], flush=True)
    write_rows(rows, options.output)


def write_rows(rows: list[dict[str, Any]], output: Path | None) -> None:
    """A CSV file of the rows, where one is wanted."""
    if output:
        with open(output, "w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def write_photos(folder: Path, count: int) -> Path:
    """JPEG files of blurred noise, about as many bytes as photos have."""
    folder.mkdir()
    noise = np.random.default_rng(0)
    for number in range(count):
        small = noise.integers(0, 255, (120, 160, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number:05d}.jpg"), cv2.resize(small, (640, 480)))
    return folder


def seconds(way: str, photos: Path, folder: Path) -> float:
    """Wall time of a run."""
    command = ["-c", ROAD, str(photos)]
    if way != "estimate":
        verb, _, workers = way.partition(" ")
        command = ["-m", "rsn", verb, str(photos), "--output", f"{folder} {photos.name}"]
        command += [
            "--boxes",
            "whole",
            "--device",
            "cpu",
            "--engine",
            "torch",
            *(["--workers", workers] if workers else []),
        ]
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
