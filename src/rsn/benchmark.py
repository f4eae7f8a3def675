"""How long prediction takes here, stage by stage, by one backend or several beside each other."""

import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from rsn.errors import RsnError
from rsn.geometry import Crop, FloatArray, Image
from rsn.inference.backends import Backend, build_backend, choose
from rsn.inference.single_model import run_with_flip
from rsn.io.images import read_image, write_image
from rsn.weights.loading import load_model
from rsn.weights.metadata import ModelMetadata

PEOPLE = 4  # in the image that is read and cropped
IMAGE_SIZE = (480, 640)  # height, width: COCO's most frequent
WARM_UP = 2  # runs that are not counted


@dataclass(frozen=True)
class Times:
    """Milliseconds: the median, the 90th and the 99th of 100 runs."""

    median: float
    p90: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float], things: int = 1) -> "Times":
        """For one thing, of runs that did so many at once."""
        return cls(*(float(value) for value in np.percentile(seconds, [50, 90, 99]) / things * 1000))


@dataclass(frozen=True)
class BackendTimes:
    """What a backend takes.

    start: seconds until it was ready, with the conversion where the cache had none.
    infer: for a crop, in whole batches. single: for a crop by itself, which is the latency.
    """

    backend: str
    device: str
    start: float
    infer: Times
    single: Times

    @property
    def throughput(self) -> float:
        """Crops a second, in whole batches."""
        return 1000 / self.infer.median


@dataclass(frozen=True)
class Report:
    """All stages of prediction.

    read: for an image of 640 x 480 pixels, JPEG. crop, decode: for a person.
    peak_memory: the most MiB that this process has held, None where the system does not say; of one backend where only
    one ran.
    """

    machine: str
    model: str
    batch_size: int
    flip: bool
    read: Times
    crop: Times
    decode: Times
    backends: list[BackendTimes]
    peak_memory: float | None

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        document = asdict(self)
        for entry, backend in zip(document["backends"], self.backends, strict=True):
            entry["throughput"] = backend.throughput
        return document

    def table(self) -> str:
        """For people: stages as rows, then backends."""
        head = f"{'ms':<16}{'median':>9}{'p90':>9}{'p99':>9}"
        stages = [(name, getattr(self, name)) for name in ("read", "crop", "decode")]
        lines = [
            f"{self.model}, batches of {self.batch_size}{', flip test' * self.flip}; {self.machine}",
            head,
        ]
        lines += [_line(name, times) for name, times in stages]
        lines += ["", f"{head}{'single':>9}{'crops/s':>9}{'start, s':>9}"]
        for backend in self.backends:
            more = f"{backend.single.median:9.2f}{backend.throughput:9.1f}{backend.start:9.1f}"
            lines.append(_line(backend.backend, backend.infer) + more)
        peak = "unknown" if self.peak_memory is None else f"{self.peak_memory:.0f} MiB"
        return "\n".join([*lines, "", f"peak memory: {peak}"])


def benchmark(
    model: str, backends: Sequence[str], *, device: str, batch_size: int, flip: bool, repeats: int
) -> Report:
    """Time a model's stages and backends on noise; they take turns, so that a busy machine is as busy for each.

    Args:
        model: a weight's name or file.
        backends: as `backends.choose` takes them. device: for all of them.
        batch_size: crops in one run. flip: with the flip test. repeats: runs that count.

    Raises:
        RsnError: fewer than one crop or run. UnknownNameError, WeightsError, DeviceError: as `PoseEstimator`.
    """
    if batch_size < 1 or repeats < 1:
        raise RsnError(f"a benchmark needs at least 1 crop and 1 run, not {batch_size} and {repeats}")
    choices = dict.fromkeys(choose(backend, device) for backend in backends)
    opened = load_model(model)
    network, metadata = opened.network, opened.metadata
    image = _image()
    boxes = np.array([[40.0 + 130 * person, 60, 120, 360] for person in range(PEOPLE)])
    crops = _crops(image, boxes, metadata, batch_size)
    starts, runs = {}, {}
    for choice in choices:
        begun = perf_counter()
        runs[choice] = build_backend(choice[0], network, metadata, choice[1])
        starts[choice] = perf_counter() - begun
    maps = run_with_flip(next(iter(runs.values())), metadata, crops, flip_test=flip)
    with TemporaryDirectory() as folder:
        file = _written(image, Path(folder))
        tasks: dict[Any, Callable[[], object]] = {
            "read": partial(read_image, file),
            "crop": partial(_cut, image, boxes, metadata),
            "decode": partial(_decoded, maps, metadata),
        }
        for choice, run in runs.items():
            tasks[choice, "infer"] = partial(_inferred, run, metadata, crops, flip)
            tasks[choice, "single"] = partial(_inferred, run, metadata, crops[:1], flip)
        times = take_turns(tasks, repeats)
    return Report(
        machine=machine(),
        model=model,
        batch_size=batch_size,
        flip=flip,
        read=Times.of(times["read"]),
        crop=Times.of(times["crop"], PEOPLE),
        decode=Times.of(times["decode"], batch_size),
        backends=[
            BackendTimes(
                backend=choice[0],
                device=str(choice[1]),
                start=starts[choice],
                infer=Times.of(times[choice, "infer"], batch_size),
                single=Times.of(times[choice, "single"]),
            )
            for choice in choices
        ],
        peak_memory=peak_memory(),
    )


def take_turns(tasks: Mapping[Any, Callable[[], object]], repeats: int) -> dict[Any, list[float]]:
    """Seconds of every run of every task; one run of each in turn, after two that are not counted."""
    times: dict[Any, list[float]] = {name: [] for name in tasks}
    for _ in range(WARM_UP + repeats):
        for name, task in tasks.items():
            begun = perf_counter()
            task()
            times[name].append(perf_counter() - begun)
    return {name: seconds[WARM_UP:] for name, seconds in times.items()}


def machine() -> str:
    """The processor's name, how many of its cores PyTorch uses, and versions."""
    names = [line for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    name = names[0].split(":")[1].strip() if names else platform.processor() or platform.machine()
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    return f"{name}, {torch.get_num_threads()} threads; {versions}"


def peak_memory() -> float | None:
    """MiB of main memory that this process has held at most; None on Windows, where Python does not say."""
    try:
        import resource
    except ModuleNotFoundError:
        return None
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _image() -> Image:
    """Soft noise: it takes a JPEG about as long as an image, which pure noise does not."""
    coarse = np.random.default_rng(0).integers(0, 256, (IMAGE_SIZE[0] // 8, IMAGE_SIZE[1] // 8, 3))
    return cv2.resize(coarse.astype(np.uint8), IMAGE_SIZE[::-1], interpolation=cv2.INTER_CUBIC).astype(
        np.uint8
    )


def _cut(image: Image, boxes: FloatArray, metadata: ModelMetadata) -> Image:
    return np.stack(
        [Crop.from_box(box, metadata.input_size, metadata.bbox_padding).warp(image) for box in boxes]
    )


def _crops(image: Image, boxes: FloatArray, metadata: ModelMetadata, count: int) -> Tensor:
    pixels = torch.from_numpy(_cut(image, boxes, metadata))
    return pixels.repeat(-(-count // PEOPLE), 1, 1, 1)[:count].permute(0, 3, 1, 2)


def _written(image: Image, folder: Path) -> Path:
    write_image(folder / "image.jpg", image)
    return folder / "image.jpg"


def _inferred(backend: Backend, metadata: ModelMetadata, crops: Tensor, flip: bool) -> None:
    _wait_for(run_with_flip(backend, metadata, crops, flip_test=flip))


def _decoded(maps: Tensor, metadata: ModelMetadata) -> None:
    _wait_for(metadata.codec.decode(maps)[0])


def _wait_for(result: Tensor) -> None:
    """CUDA answers before it is done."""
    if result.is_cuda:
        torch.cuda.synchronize(result.device)


def _line(name: str, times: Times) -> str:
    return f"{name:<16}{times.median:9.2f}{times.p90:9.2f}{times.p99:9.2f}"


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []
