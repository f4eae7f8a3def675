"""Weights by name or file: where the file is, and the metadata. PyTorch is needed only for files without metadata."""

import json
import warnings
from collections.abc import Mapping
from importlib import resources
from os.path import isfile
from pathlib import Path
from typing import TYPE_CHECKING

from rsn.errors import RsnWarning, UnknownNameError, WeightsError
from rsn.skeletons import Skeleton
from rsn.weights.files import has_metadata, read_metadata
from rsn.weights.metadata import METADATA_KEY, Metadata, ModelMetadata, parse_metadata
from rsn.weights.pretrained import PRETRAINED, fetch

if TYPE_CHECKING:
    from torch import Tensor

BUNDLED = ("rsn18.starter", "rsn18.people")  # names of weights in the package: keypoints, and person boxes


def load_metadata(source: str | Path) -> Metadata:
    """The metadata of weights alone; whether the tensors fit is not checked. Raises as `loading.load_model`."""
    path = weights_path(source)
    if has_metadata(path):
        return metadata_of(source, path, {})
    from rsn.weights.checkpoints import read_tensors

    return metadata_of(source, path, read_tensors(path))


def weights_path(source: str | Path) -> Path:
    """The file of a weight's name, or the file itself; published weights are downloaded if they are not cached.

    Raises:
        UnknownNameError: neither a file nor a known name. WeightsError: the download failed.
    """
    path, name = Path(source), str(source)
    if isfile(path):
        return path
    if name in BUNDLED:
        return Path(str(resources.files("rsn") / "weights" / f"{name}.safetensors"))
    if name in PRETRAINED:
        return fetch(PRETRAINED[name])
    if path.suffix in (".safetensors", ".pth", ".pt", ".ckpt") or len(path.parts) > 1:
        raise WeightsError(f"{source}: there is no such weights file")
    from rsn.models.catalog import list_models

    known = known_weights()
    if name in list_models():
        of_model = [weights for weights in known if weights.split(".")[0] == name]
        raise WeightsError(
            f"{name} names a network without weights; known weights of it: {', '.join(of_model) or 'none'}, or give a"
            " file"
        )
    raise UnknownNameError("model with weights", name, known)


def known_weights() -> list[str]:
    """The names that `loading.load_model` knows: weights in the package, then published third-party ones."""
    return [*BUNDLED, *PRETRAINED]


def pose_metadata(metadata: Metadata, source: object) -> ModelMetadata:
    """The metadata of a pose network; that of a detector is a WeightsError."""
    if not isinstance(metadata, ModelMetadata):
        raise WeightsError(f"{source}: finds person boxes, not keypoints; use it as a detector (--detector)")
    return metadata


def metadata_of(source: str | Path, path: Path, tensors: "Mapping[str, Tensor]") -> Metadata:
    """The metadata in a file, or what is assumed for weights without, about which an `RsnWarning` is given."""
    if has_metadata(path):
        return stored_metadata(source, path)
    inferred = inferred_metadata(source, tensors)
    if str(source) not in PRETRAINED:
        warnings.warn(
            f"{source}: has no model metadata; assumed are {inferred.notes}: {inferred.summary()}; to correct that,"
            " write a file with metadata by rsn models convert",
            RsnWarning,
            stacklevel=3,
        )
    return inferred


def stored_metadata(source: str | Path, path: Path) -> Metadata:
    """The metadata in a file; for weights of the package with what was measured later, in the JSON file beside it."""
    metadata, beside = read_metadata(path), path.with_suffix(".json")
    if str(source) not in BUNDLED or not beside.is_file():
        return metadata
    document = metadata.to_document() | json.loads(beside.read_text(encoding="utf-8"))
    return parse_metadata({METADATA_KEY: json.dumps(document)})


def inferred_metadata(
    source: str | Path,
    tensors: "Mapping[str, Tensor]",
    skeleton: Skeleton | None = None,
    input_size: tuple[int, int] | None = None,
) -> ModelMetadata:
    """The metadata that tensors without any show; `skeleton` and `input_size` as in `recognition.infer_metadata`.

    Raises:
        WeightsError: tensors of no network of the catalog.
    """
    from rsn.weights.recognition import infer_metadata

    try:
        metadata = infer_metadata(tensors, skeleton=skeleton, input_size=input_size)
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}") from error
    return PRETRAINED[str(source)].complete(metadata) if str(source) in PRETRAINED else metadata
