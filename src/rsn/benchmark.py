"""Speed of prediction on this machine, stage by stage, with one backend or several."""

import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import torch

from rsn.errors import RsnError
from rsn.inference.backends import choose
from rsn.inference.estimator import PoseEstimator
from rsn.inference.single_model import ImageCrops
from rsn.io.images import read_image, write_image
from rsn.io.machine import processor_name

PEOPLE = 4  # in the image that is read and cropped
IMAGE_SIZE = (480, 640)  # height, width: the most frequent in COCO
WARM_UP = 2  # runs that are not counted
PERCENTILES = {"median": 50, "p90": 90, "p99": 99}


def benchmark(
    model: str, backends: Sequence[str], *, device: str, batch_size: int, flip_test: bool, repeats: int
) -> dict[str, Any]:
    """Time the stages of a model on noise; stages and backends take turns, so that other load affects all alike.

    Args:
        model: a weights name or file.
        backends: as `backends.choose` takes them. device: for all of them.
        batch_size: crops per batch. repeats: measured runs.

    Returns:
        machine, model, batch_size, flip; milliseconds (median, p90, p99) to "read" a JPEG image of 640 x 480 pixels, to
        "crop" and to "decode" a person; "backends": for each its name, device, seconds until the "start", milliseconds
        to "infer" a crop in a batch and a "single" one, and "throughput" in crops per second; "peak_memory" of the
        process in MiB, or None if unknown.

    Raises:
        RsnError: less than one crop or run. UnknownNameError, WeightsError, DeviceError: as `PoseEstimator`.
    """
    if batch_size < 1 or repeats < 1:
        raise RsnError(f"Invalid batch size and repeats: expected at least 1, got {batch_size} and {repeats}")
    starts, estimators = {}, {}
    for name, used_device in dict.fromkeys(choose(backend, device) for backend in backends):
        start = perf_counter()
        options: dict[str, Any] = {"flip_test": flip_test, "batch_size": batch_size, "detector": None}
        estimators[name] = PoseEstimator(model, backend=name, device=str(used_device), **options)
        starts[name] = perf_counter() - start
    first = next(iter(estimators.values()))
    image = _noise()
    boxes = np.array([[40.0 + 130 * person, 60, 120, 360] for person in range(PEOPLE)])
    batch, single = (first.preprocess(image, np.resize(boxes, (count, 4)), np.ones(count)) for count in (batch_size, 1))
    heatmaps = first.forward([batch])
    with TemporaryDirectory() as folder:
        file = Path(folder) / "image.jpg"
        write_image(file, image)
        tasks: dict[Any, Callable[[], object]] = {
            "read": partial(read_image, file),
            "crop": partial(first.preprocess, image, boxes, np.ones(PEOPLE)),
            "decode": partial(first.postprocess, [batch], heatmaps),
        }
        for name, estimator in estimators.items():
            tasks[name, "infer"] = partial(_infer, estimator, batch)
            tasks[name, "single"] = partial(_infer, estimator, single)
        seconds = take_turns(tasks, repeats)
    entries = [
        {
            "backend": name,
            "device": str(estimator.device),
            "start": starts[name],
            "infer": milliseconds(seconds[name, "infer"], batch_size),
            "single": milliseconds(seconds[name, "single"]),
            "throughput": batch_size / float(np.median(seconds[name, "infer"])),
        }
        for name, estimator in estimators.items()
    ]
    return {
        "machine": machine(),
        "model": model,
        "batch_size": batch_size,
        "flip": flip_test,
        "read": milliseconds(seconds["read"]),
        "crop": milliseconds(seconds["crop"], PEOPLE),
        "decode": milliseconds(seconds["decode"], batch_size),
        "backends": entries,
        "peak_memory": peak_memory(),
    }


def format_report(report: dict[str, Any]) -> str:
    """The return value of `benchmark` as tables."""
    flip = ", flip test" if report["flip"] else ""
    head = f"{'ms':<16}" + "".join(f"{name:>9}" for name in PERCENTILES)
    lines = [f"{report['model']}, batches of {report['batch_size']}{flip}; {report['machine']}", head]
    lines += [_row(stage, report[stage]) for stage in ("read", "crop", "decode")]
    lines += ["", f"{head}{'single':>9}{'crops/s':>9}{'start, s':>9}"]
    for entry in report["backends"]:
        more = f"{entry['single']['median']:9.2f}{entry['throughput']:9.1f}{entry['start']:9.1f}"
        lines.append(_row(entry["backend"], entry["infer"]) + more)
    peak = "unknown" if report["peak_memory"] is None else f"{report['peak_memory']:.0f} MiB"
    return "\n".join([*lines, "", f"peak memory: {peak}"])


def milliseconds(seconds: Sequence[float], items: int = 1) -> dict[str, float]:
    """Median, 90th and 99th percentile for one item, from runs that process several at once."""
    return {name: float(np.percentile(seconds, percentile)) / items * 1000 for name, percentile in PERCENTILES.items()}


def take_turns(tasks: Mapping[Any, Callable[[], object]], repeats: int) -> dict[Any, list[float]]:
    """Seconds of every run of every task: one run of each in turn, after two that are not counted."""
    times: dict[Any, list[float]] = {name: [] for name in tasks}
    for _ in range(WARM_UP + repeats):
        for name, task in tasks.items():
            start = perf_counter()
            task()
            times[name].append(perf_counter() - start)
    return {name: seconds[WARM_UP:] for name, seconds in times.items()}


def machine() -> str:
    """The name of the processor, the number of threads that PyTorch uses, and versions."""
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    return f"{processor_name()}, {torch.get_num_threads()} threads; {versions}"


def peak_memory() -> float | None:
    """Largest main memory of this process in MiB; None on Windows, where Python does not report it."""
    try:
        import resource
    except ModuleNotFoundError:
        return None
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _noise() -> Any:
    """Smooth noise, (H, W, 3) uint8, which takes about as long to decode as a real image; pure noise takes longer."""
    coarse = np.random.default_rng(0).integers(0, 256, (IMAGE_SIZE[0] // 8, IMAGE_SIZE[1] // 8, 3))
    return cv2.resize(coarse.astype(np.uint8), IMAGE_SIZE[::-1], interpolation=cv2.INTER_CUBIC)


def _infer(estimator: PoseEstimator, crops: ImageCrops) -> None:
    heatmaps = estimator.forward([crops])
    if heatmaps.is_cuda:
        torch.cuda.synchronize(heatmaps.device)


def _row(name: str, times: dict[str, float]) -> str:
    return f"{name:<16}" + "".join(f"{times[percentile]:9.2f}" for percentile in PERCENTILES)
