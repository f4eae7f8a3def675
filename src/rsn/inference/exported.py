"""Exported models: files that a backend runs directly, and whose metadata describe them completely."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from os.path import isfile
from pathlib import Path
from typing import Literal, TypeGuard

import numpy as np
from numpy.typing import NDArray

from rsn import __version__
from rsn.errors import DeviceError, WeightsError
from rsn.inference.backends import Backend
from rsn.inference.processes import check_process, shared
from rsn.weights.metadata import METADATA_KEY, Metadata, parse_metadata

KEYS = (METADATA_KEY, "rsn.export")  # in the file: the metadata of the weights, and how they were exported
FORM = 1  # version of these entries, increased when an older rsn would misread them

Precision = Literal["fp32", "fp16", "int8"]

_BACKENDS = {".onnx": ("onnxruntime", "openvino", "openvino-bf16"), ".xml": ("openvino", "openvino-bf16")}
_TORCH_EXPORT = ".pt2"


@dataclass(frozen=True)
class Export:
    """The description in an exported file.

    metadata: of the weights. weights_sha256: of the weights file.
    precision: of the weights in the file; with int8 most feature maps have it, too.
    preprocess: the input is (N, H, W, 3), as images are in memory, instead of (N, 3, H, W); always uint8 RGB.
    decode: the outputs are keypoints (N, K, 2) in pixels of the crop, raw scores (N, K), and the heatmaps.
    version: of the rsn that wrote the file.
    """

    metadata: Metadata
    weights_sha256: str
    precision: Precision = "fp32"
    preprocess: bool = False
    decode: bool = False
    version: str = __version__

    def to_metadata(self) -> dict[str, str]:
        """Two entries, both JSON: the metadata as in weights files, and the rest."""
        return self.metadata.to_metadata() | {KEYS[1]: json.dumps(self._to_dict())}

    def to_json(self) -> str:
        """One document for readers and other programs, which is written beside the file."""
        return json.dumps(self._to_dict() | {"metadata": self.metadata.to_document()}, indent=1) + "\n"

    @classmethod
    def from_metadata(cls, metadata: dict[str, str]) -> "Export":
        """Read the two entries back.

        Raises:
            WeightsError: they are missing, invalid, or of a form that only a later rsn knows.
        """
        if KEYS[1] not in metadata:
            raise WeightsError("was not written by rsn export, so its keypoints and input are unknown; export it again")
        try:
            settings = json.loads(metadata[KEYS[1]])
            form, version = settings.pop("form"), settings["version"]
            if form > FORM:
                raise WeightsError(
                    f"was written by rsn {version} in form {form}, and rsn {__version__} reads up to form {FORM};"
                    " update rsn"
                )
            return cls(parse_metadata(metadata), **settings)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise WeightsError(f"has metadata that cannot be read ({error!r}); export it again") from error

    def _to_dict(self) -> dict[str, object]:
        settings = {field.name: getattr(self, field.name) for field in fields(self)}
        del settings["metadata"]
        return {"form": FORM, **settings}


def is_exported(source: object) -> TypeGuard[str | Path]:
    """Whether a model is given as an exported file, by its suffix."""
    return isinstance(source, str | Path) and Path(source).suffix in (*_BACKENDS, _TORCH_EXPORT)


def backend_for(sources: Sequence[str | Path]) -> str:
    """The backend that "auto" means for exported models."""
    return "openvino" if any(Path(source).suffix == ".xml" for source in sources) else "onnxruntime"


def open_exported(path: Path, backend: str, device: str) -> tuple[Backend, Export]:
    """An exported file, ready to run, and its description.

    ONNX and OpenVINO files contain numbers and a graph of operations. Files of torch.export are programs that may
    contain pickles, so they are not opened.

    Args:
        path: .onnx, or .xml with its .bin beside it.
        backend: one of `backends.BACKENDS` that runs such files. device: where it runs.

    Raises:
        WeightsError: no such file, one of another kind, or one without valid metadata.
        DeviceError: the backend does not run such files. MissingDependencyError: it is not installed.
    """
    if path.suffix == _TORCH_EXPORT:
        raise WeightsError(
            f"{path}: a torch.export file is a program that could run any code, so rsn does not open it; use its"
            " weights, or export them to ONNX or OpenVINO"
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

    def run(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return graph.backend(crops.transpose(0, 2, 3, 1))

    return shared(run), export
