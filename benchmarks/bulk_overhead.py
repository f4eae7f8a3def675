"""Compare the CPU time of a worker of `rsn bulk` with that of `rsn predict`, in turns in one process.

    python benchmarks/bulk_overhead.py --images 32 --rounds 3 --output benchmarks/bulk_overhead.csv

The same images, the same network, one thread. `estimate` is `PoseEstimator` without writing; `worker` processes one
part: it records the start, reads through fsspec and writes Parquet. CPU time depends less on the load of the machine
than wall time. Ray is not included; `benchmarks/bulk.py` has its start.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from bulk import write_images
from rsn import PoseEstimator
from rsn.bulk.parts import Part
from rsn.bulk.settings import Settings
from rsn.bulk.worker import Worker
from side_by_side import write

SETTINGS = Settings(boxes="whole", box_threshold=0.3, person_threshold=0.0, backend="torch")


def main() -> None:
    """Run all rounds and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="CSV to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        paths = sorted(write_images(Path(name) / "images", options.images).iterdir())
        part = Part("images", tuple(map(str, paths)))
        estimator = PoseEstimator("rsn18.starter", device="cpu", backend="torch")
        worker = Worker(SETTINGS, f"{name}/out", "run", "cpu", estimator.batch_size, 1)
        worker.process(0, Part("images", part.urls[:1]))  # loads the network
        for number in range(1, options.rounds + 1):
            estimate = seconds(lambda: list(estimator(iter(paths), "whole", keep_image=False)))
            bulk = seconds(lambda number=number: worker.process(number, part))
            row = {"round": number, "images": options.images}
            row |= {"estimate_cpu_s": round(estimate, 2), "worker_cpu_s": round(bulk, 2)}
            rows.append(row | {"ratio": round(bulk / estimate, 3)})
            print(rows[-1], flush=True)
    print(f"median ratio: {median(row['ratio'] for row in rows):.3f}")
    write(rows, options.output)


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU time of all threads of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
