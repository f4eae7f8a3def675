"""Exported models: files that a backend runs as they are, and whose metadata says all that must be known of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from os.path import isfile
from pathlib import Path
from typing import Literal, TypeGuard

import torch
from torch import Tensor

from rsn import __version__
from rsn.errors import DeviceError, WeightsError
from rsn.inference.backends import Backend
from rsn.inference.processes import check_process, shared
from rsn.weights.metadata import METADATA_KEY, Metadata, parse_metadata

KEYS = (METADATA_KEY, "rsn.export")  # of the metadata: the metadata, and what was made of it
FORM = 1  # of the metadata; raised when an older rsn would misread it

Precision = Literal["fp32", "fp16", "int8"]

_BACKENDS = {".onnx": ("onnxruntime", "openvino", "openvino-bf16"), ".xml": ("openvino", "openvino-bf16")}
_PROGRAM = ".pt2"  # of torch.export


@dataclass(frozen=True)
class Export:
    """What an exported file says of itself.

    metadata: of the weights. weights_sha256: of the weights file.
    precision: of the weights in the file; int8 is that of most feature maps too.
    preprocess: crops go in as images lie in memory, (N, H, W, 3), and not as (N, 3, H, W); always uint8 RGB.
    decode: keypoints (N, K, 2) in pixels of the crop and scores (N, K) come out, before the heatmaps.
    version: of the rsn that wrote it.
    """

    metadata: Metadata
    weights_sha256: str
    precision: Precision = "fp32"
    preprocess: bool = False
    decode: bool = False
    version: str = __version__

    def to_metadata(self) -> dict[str, str]:
        """Two entries, both JSON: the metadata as weights files have it, and the rest."""
        return self.metadata.to_metadata() | {KEYS[1]: json.dumps(self._about())}

    def to_json(self) -> str:
        """One document for people and other programs, to lie beside the file."""
        return json.dumps(self._about() | {"metadata": self.metadata.to_document()}, indent=1) + "\n"

    @classmethod
    def from_metadata(cls, metadata: dict[str, str]) -> "Export":
        """Read it back.

        Raises:
            WeightsError: there is none, it cannot be read, or it is of a form that only a later rsn knows.
        """
        if KEYS[1] not in metadata:
            raise WeightsError(
                "was not written by rsn export, so its keypoints and crops are unknown; export it anew"
            )
        try:
            about = json.loads(metadata[KEYS[1]])
            form, version = about.pop("form"), about["version"]
            if form > FORM:
                raise WeightsError(
                    f"was written by rsn {version} in form {form}, and rsn {__version__} reads up to form {FORM};"
                    " update rsn"
                )
            return cls(parse_metadata(metadata), **about)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise WeightsError(f"has metadata that cannot be read ({error!r}); export it anew") from error

    def _about(self) -> dict[str, object]:
        settings = {field.name: getattr(self, field.name) for field in fields(self)}
        del settings["metadata"]
        return {"form": FORM, **settings}


def is_exported(source: object) -> TypeGuard[str | Path]:
    """Whether a model is named by a file of an exported kind."""
    return isinstance(source, str | Path) and Path(source).suffix in (*_BACKENDS, _PROGRAM)


def backend_for(sources: Sequence[str | Path]) -> str:
    """The backend that "auto" means where some models are exported: each kind of file has its own."""
    return "openvino" if any(Path(source).suffix == ".xml" for source in sources) else "onnxruntime"


def open_exported(path: Path, backend: str, device: torch.device) -> tuple[Backend, Export]:
    """An exported file, ready to run, and what it says of itself.

    ONNX and OpenVINO files hold numbers and a graph of operations. The files of torch.export are programs and
    may hold pickles, so they are left to programs that trust them.

    Args:
        path: .onnx, or .xml with its .bin beside it.
        backend: one of `backends.BACKENDS` that runs such files. device: for it.

    Raises:
        WeightsError: no such file, one that we do not open, or without metadata that we understand.
        DeviceError: the backend does not run such files. MissingDependencyError: it is not installed.
    """
    if path.suffix == _PROGRAM:
        raise WeightsError(
            f"{path}: a torch.export file is a program and could do anything, so rsn does not open it; give"
            " its weights, or export them to ONNX or OpenVINO"
        )
    if not isfile(path):
        raise WeightsError(f"{path}: there is no such file")
    if backend not in _BACKENDS[path.suffix]:
        known = " or ".join(_BACKENDS[path.suffix])
        raise DeviceError(f"backend {backend} does not run {path}; choose {known}, or leave it out")
    check_process()
    if backend == "onnxruntime":
        from rsn.inference.backends.onnxruntime import open_onnx

        graph = open_onnx(path, device)
    else:
        from rsn.inference.backends.openvino import open_openvino

        graph = open_openvino(path, bf16=backend == "openvino-bf16")
    try:
        export = Export.from_metadata(graph.metadata)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    if not export.preprocess:
        return shared(graph.backend), export

    def backend_of_images(crops: Tensor) -> Tensor:
        return graph.backend(crops.permute(0, 2, 3, 1))

    return shared(backend_of_images), export
