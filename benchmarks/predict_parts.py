"""Run `rsn predict` with the given arguments, and write seconds by part as JSON; a part of benchmarks/folder.py.

    python benchmarks/predict_parts.py parts.json START IMAGES --output out

START is `time.monotonic()` when this process was started.

The parts beside the networks run in threads; their seconds are of processor time, all threads together. Afterwards the
networks run alone on the same inputs.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import rsn.inference.estimator as estimators
import rsn.inference.images as image_files
from rsn.cli import main
from rsn.detection.starter import StarterDetector
from rsn.inference.estimator import PoseEstimator

LOCK = Lock()
SECONDS: Counter[str] = Counter()
RUNS: dict[str, list[tuple[Callable, Any]]] = {"detector": [], "pose network": []}  # each run of a network


def time_calls(owner: object, name: str, part: str) -> None:
    """Replace a function of `owner` by the same one, timed; other versions of the package may lack it."""
    function = getattr(owner, name, None)
    if function is None:
        return

    def timed(*args, **kwargs):
        start = time.thread_time()
        try:
            return function(*args, **kwargs)
        finally:
            with LOCK:
                SECONDS[part] += time.thread_time() - start

    setattr(owner, name, timed)


def recorded(network: str, backend: Callable) -> Callable:
    """Return the backend, which also records its inputs."""

    def run(pixels):
        RUNS[network].append((backend, pixels))
        return backend(pixels)

    return run


def record_networks() -> None:
    """Record the inputs of both networks, from the moment they are opened."""
    start_detector, load_models = StarterDetector.__init__, estimators.load_models

    def start_recorded(self, *args, **kwargs):
        start_detector(self, *args, **kwargs)
        self.backend = recorded("detector", self.backend)

    def load_recorded(*args, **kwargs):
        model = load_models(*args, **kwargs)
        backend = recorded("pose network", model.open())
        object.__setattr__(model, "open", lambda: backend)
        SECONDS["start"] = time.monotonic() - START
        return model

    StarterDetector.__init__, estimators.load_models = start_recorded, load_recorded


if __name__ == "__main__":
    output, START = Path(sys.argv.pop(1)), float(sys.argv.pop(1))
    record_networks()
    time_calls(image_files, "read_image", "read")
    time_calls(StarterDetector, "preprocess", "resize for the detector")
    time_calls(StarterDetector, "postprocess", "boxes from its maps")
    time_calls(PoseEstimator, "preprocess", "crop")
    time_calls(PoseEstimator, "postprocess", "keypoints from heatmaps")
    time_calls(image_files, "draw", "draw")
    time_calls(image_files, "write_image", "write")
    sys.argv.insert(1, "predict")
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
    SECONDS["all"] = time.monotonic() - START
    for network, runs in RUNS.items():
        start = time.perf_counter()
        for backend, pixels in runs:
            backend(pixels)
        SECONDS[f"{network} alone"] = time.perf_counter() - start
    crops = sum(len(pixels) for _, pixels in RUNS["pose network"])
    output.write_text(json.dumps({"crops": crops, "seconds": SECONDS}), encoding="utf-8")
