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
from rsn.io.cache import cache_folder

DISTRIBUTION = "rsn-pose"
# What each extra of pyproject.toml adds; a test compares the names.
EXTRAS = {
    "eval": "evaluation on COCO and MPII",
    "train": "training, and evaluation",
    "detect": "person detectors: RT-DETR, D-FINE, ONNX files",
    "video": "videos and tracking",
    "serve": "the web page and the HTTP service",
    "bulk": "batch processing on one machine or a Ray cluster",
    "labels": "labels of SLEAP, and of DeepLabCut in H5 files",
    "onnx": "ONNX Runtime as a backend, ONNX export",
    "openvino": "OpenVINO, the fastest backend on CPUs, and its export",
    "int8": "INT8 export for OpenVINO",
    "export": "all export formats",
    "demo": "the images of `make demo`",
    "heif": "HEIC images",
    "all": "everything above",
}
_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[([\w,-]+)\])?.*extra == ['\"]([\w-]+)['\"]")
# They all install the folder cv2.
_OPENCV = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python-headless",
    "opencv-contrib-python",
)


@dataclass(frozen=True)
class Check:
    """A line of the report; `ok` is false for optional features that are not available."""

    topic: str
    text: str
    ok: bool = True

    def __str__(self) -> str:
        return f"{'+' if self.ok else '-'} {self.topic:<12} {self.text}"


def examine() -> Iterator[Check]:
    """Check versions, devices, backends and extras; nothing is changed or downloaded."""
    yield Check("rsn", f"{__version__}, Python {platform.python_version()}, {platform.platform()}")
    libraries = ("torch", "numpy", "pillow", *(name for name in _OPENCV if _version(name)))
    yield Check("libraries", ", ".join(f"{name} {_version(name) or 'missing'}" for name in libraries))
    if len({_version(name) for name in _OPENCV} - {None}) > 1:
        yield Check("opencv", "packages of different versions overwrite each other; see docs/install.md", ok=False)
    try:
        from cv2 import imread  # noqa: F401
    except ImportError:  # what is left of cv2 after one of two packages was uninstalled
        text = "cv2 is missing or incomplete; install one of its packages again, see docs/install.md"
        yield Check("opencv", text, ok=False)
    yield Check("cpu", f"{os.cpu_count()} cores, {torch.get_num_threads()} threads")
    if not torch.cuda.is_available():
        why = "no GPU or driver that PyTorch can use" if torch.version.cuda else "PyTorch is built for CPUs only"
        yield Check("cuda", f"none: {why}", ok=False)
    for number in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(number)
        yield Check(f"cuda:{number}", f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB")
    installed = [name for name in BACKENDS if find_spec(name.partition("-")[0])]  # named as their libraries
    backend, device = choose("auto", "auto")
    yield Check("backends", f"{', '.join(installed)}; auto takes {backend} on {device}")
    yield from _extras()
    folder = cache_folder()
    yield Check("cache", f"{folder} ({'exists' if folder.is_dir() else 'created by the first download'})")


def _extras() -> Iterator[Check]:
    if _version(DISTRIBUTION) is None:
        yield Check("extras", "unknown: rsn runs from a folder and is not installed; pip install .", ok=False)
        return
    for extra, adds in EXTRAS.items():
        missing = [library for library in libraries_of(extra) if _version(library) is None]
        how = f"; pip install '{DISTRIBUTION}[{extra}]' adds {', '.join(missing)}" if missing else ""
        yield Check(f"[{extra}]", adds + how, ok=not missing)


def libraries_of(extra: str) -> list[str]:
    """The names of the distributions that an extra installs, sorted; those of the extras that it includes, too.

    Raises:
        PackageNotFoundError: rsn runs from a folder and is not installed.
    """
    libraries: set[str] = set()
    for match in map(_REQUIREMENT.match, requires(DISTRIBUTION) or []):
        if match and match[3] == extra:
            included = match[2].split(",") if match[1] == DISTRIBUTION else []
            libraries.update(*map(libraries_of, included)) if included else libraries.add(match[1])
    return sorted(libraries)


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
