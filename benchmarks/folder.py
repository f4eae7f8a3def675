"""Time `rsn predict FOLDER`, and its networks alone on the same inputs, in one run; by part.

    python benchmarks/folder.py IMAGES --output benchmarks/folder.csv

The parts beside the networks run in threads; their seconds are of processor time, all threads together.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Lock

import rsn.inference.images as image_files
from rsn.benchmark import machine
from rsn.inference.estimator import PoseEstimator
from rsn.io.images import find_images
from side_by_side import command, write


class Parts:
    """Processor time by part; threads may add to it."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._lock = Lock()

    def time(self, owner: object, name: str, part: str) -> None:
        """Replace a function of `owner` by the same one, timed."""
        function = getattr(owner, name, None)
        if function is None:
            return

        def timed(*args, **kwargs):
            start = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                with self._lock:
                    self.seconds[part] += time.thread_time() - start

        setattr(owner, name, timed)


def main() -> None:
    """Run predict once while recording the inputs of the networks, then the networks alone, then the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, help="folder of images")
    parser.add_argument("--output", type=Path, help="CSV to write")
    options = parser.parse_args()
    paths = find_images([options.images])
    estimator = PoseEstimator()
    detector = estimator.detector
    estimator(paths[0])  # opens what is opened at the first use
    boxes, poses = [], []
    backend, find = estimator.model.open(), detector.backend
    estimator.model = replace(estimator.model, open=lambda: recorded(backend, poses))
    detector.backend = recorded(find, boxes)
    parts = Parts()
    parts.time(image_files, "read_image", "read")
    parts.time(detector, "preprocess", "resize for the detector")
    parts.time(detector, "postprocess", "boxes from its maps")
    parts.time(estimator, "preprocess", "crop")
    parts.time(estimator, "postprocess", "keypoints from heatmaps")
    parts.time(image_files, "draw", "draw")
    parts.time(image_files, "write_image", "write")
    with tempfile.TemporaryDirectory() as folder:
        whole = seconds_of(lambda: list(image_files.predict_files(estimator, paths, Path(folder))))
        alone = {
            "detector's network alone": seconds_of(lambda: [find(pixels) for pixels in boxes]),
            "pose network alone": seconds_of(lambda: [backend(pixels) for pixels in poses]),
        }
        words = [sys.executable, "-m", "rsn", "predict", str(options.images), "--output", folder]
        all_of_it = seconds_of(lambda: subprocess.run(words, check=True, capture_output=True))
    rows = {"command": all_of_it, "predict_files": whole, **alone, **parts.seconds}
    share = sum(alone.values()) / whole
    for part, seconds in rows.items():
        print(f"{part:<28}{seconds:8.2f} s")
    print(f"{len(paths)} images, {sum(map(len, poses))} crops; networks alone: {100 * share:.0f} % of predict_files")
    shared = {"images": len(paths), "machine": machine(), "command": command()}
    write([{"part": part, "seconds": f"{value:.2f}"} | shared for part, value in rows.items()], options.output)


def recorded(backend: Callable, inputs: list) -> Callable:
    """Return the backend, which also appends its inputs to the list."""

    def run(pixels):
        inputs.append(pixels)
        return backend(pixels)

    return run


def seconds_of(function: Callable[[], object]) -> float:
    """Return the time that a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
