"""Speed of prediction on this machine: what a user waits for, by part, and how near networks come to the limit."""

import platform
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from rsn.detection.starter import STARTER_WEIGHTS, StarterDetector
from rsn.errors import RsnError
from rsn.geometry import Image
from rsn.inference.backends import choose
from rsn.inference.estimator import PoseEstimator
from rsn.inference.exported import is_exported
from rsn.inference.images import predict_files
from rsn.inference.pipeline import TOGETHER
from rsn.io.images import read_image, write_image
from rsn.io.machine import processor_name
from rsn.models.inference_graph import InferenceGraph
from rsn.visualization.drawing import draw
from rsn.weights.loading import load_network

WARM_UP = 2  # runs that are not counted
# Sides of the multiplied matrices: large enough for the highest rate, small enough for a short run.
SIDE_ON_CPU, SIDE_ON_GPU = 2048, 8192
# The titles of the tables, and for each row its name in the report and its label.
TABLES = {
    "What a user waits for": {
        "new_process_seconds": "rsn predict IMAGE, a new process, s",
        "image_ms": "one image, from file to keypoints, ms",
        "images_per_second": "folder, images per second",
        "poses_per_second": "folder, poses per second",
    },
    "Parts, ms per image, one after the other": {
        "read_ms": "read",
        "detector_ms": "detector",
        "crops_ms": "crops",
        "pose_network_ms": "pose network",
        "keypoints_ms": "keypoints",
        "draw_ms": "draw",
        "write_ms": "write",
    },
    "Networks in batches, and the limit of the processor": {
        "matrix_product_rate": "float32 matrix product, GFLOP/s",
        "detector_gflop": "detector, GFLOP per image",
        "detector_batch_ms": "detector, ms per image",
        "detector_rate": "detector, GFLOP/s",
        "detector_ratio": "detector, time / time of the matrix product",
        "pose_gflop": "pose network, GFLOP per crop",
        "pose_batch_ms": "pose network, ms per crop",
        "pose_rate": "pose network, GFLOP/s",
        "pose_ratio": "pose network, time / time of the matrix product",
    },
}
Row = dict[str, float]


def benchmark(
    model: str, backends: Sequence[str], *, device: str, images: Sequence[Path] = (), repeats: int = 5
) -> dict[str, Any]:
    """Time the prediction of images, and the networks alone, with the included detector.

    Args:
        model: a weights name or file. backends: as `backends.choose` takes them. device: for all of them.
        images: files; a drawn image of two people by default.
        repeats: runs of each network; all images are processed, and at least 8 times as many as `repeats`.

    Returns:
        machine, model, image_count; "backends": for each its name, its device, and the values of the rows of `TABLES`.
        Of an exported file, whose operations are not known, the rows that need them are missing.

    Raises:
        RsnError: less than one run. ImageError: an image cannot be read. Others as `PoseEstimator`.
    """
    if repeats < 1:
        raise RsnError(f"Invalid repeats: expected at least 1, got {repeats}")
    chosen = dict.fromkeys(choose(backend, device) for backend in backends)
    with TemporaryDirectory() as name:
        folder = Path(name)
        paths = images
        if not paths:
            paths = [folder / "people.jpg"]
            write_image(paths[0], example_image())
        rows = []
        for backend, used_device in chosen:
            estimator = PoseEstimator(model, backend=backend, device=used_device)
            many = list(islice(cycle(paths), max(len(paths), TOGETHER * repeats)))
            row = _time_parts(estimator, many, folder) | _time_folder(estimator, many, folder)
            row["new_process_seconds"] = _time_command(model, backend, used_device, paths[0], folder)
            row |= _time_networks(estimator, model, read_image(paths[0]), repeats)
            rows.append({"backend": backend, "device": used_device} | row)
    return {"machine": machine(), "model": model, "image_count": len(paths), "backends": rows}


def format_report(report: dict[str, Any]) -> str:
    """The return value of `benchmark` as tables, with a column for each backend."""
    lines = [f"{report['model']}, {report['machine']}; images: {report['image_count']}"]
    names = "".join(f"{row['backend']:>20}" for row in report["backends"])
    for title, labels in TABLES.items():
        lines += ["", f"{title:<52}{names}"]
        for key, label in labels.items():
            values = (f"{row[key]:20.2f}" if key in row else f"{'-':>20}" for row in report["backends"])
            lines.append(f"{label:<52}{''.join(values)}")
    return "\n".join(lines)


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


def example_image() -> Image:
    """Two drawn people, (480, 640, 3) uint8 RGB, which the included detector finds; 145 kB as a JPEG."""
    skin, shirt, trousers, dark = (215, 170, 140), (170, 50, 50), (50, 60, 100), (60, 40, 30)
    half = np.empty((480, 320, 3), np.float32)
    half[:300], half[300:] = (180, 200, 225), (95, 105, 75)
    # Color, width and points of the lines of one person.
    left_side = [
        (trousers, 24, [(143, 215), (140, 285), (140, 350)]),
        (shirt, 15, [(128, 124), (117, 172), (115, 218)]),
        (shirt, 34, [(144, 132), (146, 200)]),
        (skin, 13, [(115, 218), (115, 228)]),
        (dark, 11, [(140, 355), (128, 358)]),
    ]
    right_side = [(color, width, [(320 - x, y) for x, y in points]) for color, width, points in left_side]
    head = [
        (skin, 15, [(160, 98), (160, 120)]),
        (dark, 34, [(160, 76), (160, 78)]),
        (skin, 28, [(160, 80), (160, 86)]),
        (dark, 4, [(154, 78), (154, 78)]),
        (dark, 4, [(166, 78), (166, 78)]),
        (shirt, 3, [(156, 92), (164, 92)]),
    ]
    for color, width, points in left_side + right_side + head:
        cv2.polylines(half, [np.array(points)], isClosed=False, color=color, thickness=width, lineType=cv2.LINE_AA)
    image = np.hstack([half, half])
    return np.clip(image + np.random.default_rng(0).normal(0, 8, image.shape), 0, 255).astype(np.uint8)


def _time_parts(estimator: PoseEstimator, paths: Sequence[Path], folder: Path) -> Row:
    """The median of each part for images one after the other, and of all parts from file to keypoints."""
    seconds: defaultdict[str, list[float]] = defaultdict(list)

    @contextmanager
    def timed(part: str) -> Iterator[None]:
        start = perf_counter()
        yield
        _wait(estimator.device)
        seconds[part].append(perf_counter() - start)

    estimator(paths[0])  # opens the networks
    for path in paths:
        with timed("image_ms"):
            with timed("read_ms"):
                image = read_image(path)
            with timed("detector_ms"):
                boxes = estimator.detect(image)
            with timed("crops_ms"):
                crops = estimator.preprocess(image, *boxes, detected=True)
            with timed("pose_network_ms"):
                heatmaps = estimator.forward([crops])
            with timed("keypoints_ms"):
                (people,) = estimator.finish([crops], heatmaps)
        with timed("draw_ms"):
            drawn = draw(image, people)
        with timed("write_ms"):
            write_image(folder / "drawn.jpg", drawn)
    return {part: 1000 * float(np.median(times)) for part, times in seconds.items()}


def _time_folder(estimator: PoseEstimator, paths: Sequence[Path], folder: Path) -> Row:
    start = perf_counter()
    results = [result for _, result in predict_files(estimator, paths, folder)]
    rate = 1 / (perf_counter() - start)
    people = sum(len(result) for result in results if not isinstance(result, RsnError))
    return {"images_per_second": rate * len(paths), "poses_per_second": rate * people}


def _time_command(model: str, backend: str, device: str, image: Path, folder: Path) -> float:
    """The seconds of `rsn predict`; what this machine caches is there already."""
    options = ["--model", model, "--backend", backend, "--device", device, "--output", str(folder)]
    start = perf_counter()
    subprocess.run([sys.executable, "-m", "rsn", "predict", str(image), *options], check=True, capture_output=True)
    return perf_counter() - start


def _time_networks(estimator: PoseEstimator, model: str, image: Image, repeats: int) -> Row:
    """Time both networks on batches as in a folder, in turns with a product of matrices."""
    detector = cast(StarterDetector, estimator.detector)
    inputs = detector.preprocess(image)
    boxes = np.tile([0.0, 0.0, image.shape[1], image.shape[0]], (estimator.batch_size, 1))
    crops = estimator.preprocess(image, boxes, np.ones(len(boxes)))
    side = SIDE_ON_CPU if estimator.device == "cpu" else SIDE_ON_GPU
    left, right = torch.rand(2, side, side, device=estimator.device)
    runs: dict[str, Callable[[], object]] = {
        "matrix_product": partial(torch.mm, left, right),
        "detector": partial(detector.forward, [inputs] * TOGETHER),
        "pose": partial(estimator.forward, [crops]),
    }
    tasks = {name: partial(_run, run, estimator.device) for name, run in runs.items()}
    median = {name: float(np.median(times)) for name, times in take_turns(tasks, repeats).items()}
    limit = 2 * side**3 / 1e9 / median["matrix_product"]
    seconds = {"detector": median["detector"] / TOGETHER, "pose": median["pose"] / len(crops)}
    row = {"matrix_product_rate": limit} | {f"{name}_batch_ms": 1000 * value for name, value in seconds.items()}
    gflop = {"detector": sum(len(one) * _gflop(STARTER_WEIGHTS, one.shape[1:3]) for one in inputs.pixels)}
    if not is_exported(model):
        gflop["pose"] = _gflop(model, estimator.metadata.input_size)
    for name, value in gflop.items():
        rate = value / seconds[name]
        row |= {f"{name}_gflop": value, f"{name}_rate": rate, f"{name}_ratio": limit / rate}
    return row


def _gflop(weights: str, size: tuple[int, ...]) -> float:
    """The operations that backends run for one input (height, width), in 10^9; a multiply-add is two.

    `rsn.models.complexity` counts what training computes, with heads that inference leaves out.
    """
    graph = InferenceGraph(*load_network(weights), any_size=True).to("meta")
    with FlopCounterMode(display=False) as counter:
        graph(torch.empty(1, 3, *size, dtype=torch.uint8, device="meta"))
    return float(counter.get_total_flops()) / 1e9


def _run(task: Callable[[], object], device: str) -> None:
    task()
    _wait(device)


def _wait(device: str) -> None:
    """Wait for a GPU, whose functions return before they have finished."""
    if device != "cpu":
        torch.accelerator.synchronize(device)
