"""What of rsn works on this machine, and what is missing for the rest."""

import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec

import torch

from rsn import __version__
from rsn.inference.backends import BACKENDS, choose
from rsn.weights.pretrained import cache_folder

DISTRIBUTION = "rsn-pose"
# What each extra of pyproject.toml adds; a test compares the names.
EXTRAS = {
    "train": "train networks, measure them on COCO and MPII, write submissions",
    "backends": "run networks faster on CPUs; ONNX files",
    "int8": "make INT8 files for CPUs",
    "detect": "find the people: RT-DETR, D-FINE, ONNX files of detectors",
    "video": "read and write videos, follow people over time",
    "serve": "the page and the HTTP service",
    "bulk": "very many images, on one machine or a Ray cluster",
    "demo": "the images of `make demo`",
}
_REQUIREMENT = re.compile(r"(?P<library>[\w.-]+).*extra == ['\"](?P<extra>[\w-]+)['\"]")


@dataclass(frozen=True)
class Issue:
    """One line of the report. Without `ok` something can be had that is not there; nothing is broken by that."""

    topic: str
    text: str
    ok: bool = True


def examine() -> Iterator[Issue]:
    """Everything worth knowing before asking why something does not work; nothing is changed or fetched."""
    yield Issue("rsn", f"{__version__}, Python {platform.python_version()}, {platform.platform()}")
    libraries = ("torch", "numpy", "opencv-python-headless")
    yield Issue("libraries", ", ".join(f"{name} {_version(name) or 'missing'}" for name in libraries))
    yield from _devices()
    there = [
        backend for backend in BACKENDS if find_spec(backend.partition("-")[0])
    ]  # named as their libraries are
    backend, device = choose("auto", "auto")
    yield Issue("backends", f"{', '.join(there)}; auto takes {backend} on {device}")
    yield from _extras()
    folder = cache_folder()
    yield Issue("cache", f"{folder} ({'there' if folder.is_dir() else 'made at the first fetch'})")


def _devices() -> Iterator[Issue]:
    yield Issue("cpu", f"{os.cpu_count()} cores, {torch.get_num_threads()} threads")
    if not torch.cuda.is_available():
        built = torch.version.cuda
        why = (
            "no GPU, or no driver, that it can use" if built else "this build of PyTorch is for the CPU only"
        )
        yield Issue("cuda", f"none: {why}", ok=False)
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        yield Issue(f"cuda:{number}", f"{about.name}, {about.total_memory / 2**30:.0f} GiB")


def _extras() -> Iterator[Issue]:
    if _version(DISTRIBUTION) is None:
        yield Issue(
            "extras", "unknown: rsn runs from a folder and was never installed; pip install .", ok=False
        )
        return
    for extra, adds in EXTRAS.items():
        missing = [library for library in libraries_of(extra) if _version(library) is None]
        how = f"; pip install '{DISTRIBUTION}[{extra}]' adds {', '.join(missing)}" if missing else ""
        yield Issue(f"[{extra}]", adds + how, ok=not missing)


def libraries_of(extra: str) -> list[str]:
    """What an extra installs, by the names of their distributions.

    Raises:
        PackageNotFoundError: rsn runs from a folder and was never installed.
    """
    found = (_REQUIREMENT.match(line) for line in requires(DISTRIBUTION) or [])
    return [match["library"] for match in found if match and match["extra"] == extra]


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
