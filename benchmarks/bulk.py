"""Time `rsn bulk` with one and two workers, and `rsn predict`, on the same images in turns.

    python benchmarks/bulk.py --images 400 --rounds 3 --output benchmarks/bulk.csv

Images are noise, 640x480, each taken as one person by `rsn18.starter`. Every round runs all variants, so that the load
of the machine affects all of them: compare numbers of one round only. `predict` also draws and writes images;
`estimate` is `PoseEstimator` in one process without writing. start_s: seconds of a run with one image.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from side_by_side import write

ESTIMATE = (
    "import sys, time; from pathlib import Path; from rsn import PoseEstimator;"
    "paths = sorted(Path(sys.argv[1]).iterdir());"
    "estimator = PoseEstimator(device='cpu', backend='torch');"
    "print(sum(1 for _ in estimator(iter(paths), 'whole', keep_image=False)))"
)


def main() -> None:
    """Run all rounds and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="CSV to write")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        many, one = write_images(folder / "many", options.images), write_images(folder / "one", 1)
        for number in range(options.rounds):
            for variant in ("estimate", "predict", "bulk 1", "bulk 2"):
                start, total = (seconds(variant, images, folder / f"{variant} {number}") for images in (one, many))
                rows.append(
                    {
                        "round": number,
                        "variant": variant,
                        "images": options.images,
                        "start_s": round(start, 1),
                        "total_s": round(total, 1),
                        "images_per_second_after_start": round((options.images - 1) / (total - start), 2),
                        "cores": os.cpu_count(),
                        "load": round(os.getloadavg()[0], 1),
                    }
                )
                print(rows[-1], flush=True)
    write(rows, options.output)


def write_images(folder: Path, count: int) -> Path:
    """Write JPEG files of blurred noise, of about the size of real images."""
    folder.mkdir()
    noise = np.random.default_rng(0)
    for number in range(count):
        small = noise.integers(0, 255, (120, 160, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number:05d}.jpg"), cv2.resize(small, (640, 480)))
    return folder


def seconds(variant: str, images: Path, folder: Path) -> float:
    """Return the wall time of a run."""
    command = ["-c", ESTIMATE, str(images)]
    if variant != "estimate":
        subcommand, _, workers = variant.partition(" ")
        command = ["-m", "rsn", subcommand, str(images), "--output", f"{folder} {images.name}"]
        command += [
            "--boxes",
            "whole",
            "--device",
            "cpu",
            "--backend",
            "torch",
            *(["--workers", workers] if workers else []),
        ]
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
