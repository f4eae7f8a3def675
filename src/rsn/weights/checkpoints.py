"""Tensors and metadata in files, read without running any code that a file may hold."""

import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from rsn.errors import RsnWarning, WeightsError
from rsn.weights.metadata import METADATA_KEY, Metadata, parse_metadata
from rsn.weights.wrappers import networks_in, same_tensors

Fits = Callable[[Mapping[str, Tensor]], bool]

# MMPose's checkpoints describe their dataset with small arrays of numbers, so those may be in a pickle besides
# tensors. Files written before numpy 2 know the functions that make them by their older names.
_reconstruct, _scalar = (np.empty(0).__reduce__()[0], np.float64(0).__reduce__()[0])
_ARRAYS: list[Any] = [
    np.ndarray,
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("uint8", "int32", "int64", "float32", "float64")),
    *((_reconstruct, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    *((_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]


class _Ignored:
    """Stands in for what training programs keep beside their weights: it takes anything and does nothing."""

    def __init__(self, *_: Any) -> None:
        pass


# Its log: MMBackend's buffers, which name their methods by way of getattr. Neither is called under these names. And the
# command line's options, which many training programs keep.
_IGNORED: list[Any] = [
    (_Ignored, "mmengine.logging.history_buffer.HistoryBuffer"),
    (_Ignored, "builtins.getattr"),
    (_Ignored, "argparse.Namespace"),
]


def read_tensors(path: Path, fits: Fits = lambda tensors: True) -> dict[str, Tensor]:
    """The tensors of the network in a weights file by key, on the CPU: all of a file with a metadata, else as `unwrapped`.

    A pickle may hold tensors, plain Python values and arrays of numbers; the log of a training run of MMPose is passed
    over. One that asks for anything else is refused.

    Raises:
        WeightsError: the file cannot be read, is cut short, or holds more than that.
    """
    try:
        if _is_safetensors(path):
            with safe_open(path, framework="pt") as tensors:
                checkpoint: Any = {key: tensors.get_tensor(key) for key in tensors.keys()}
        else:
            checkpoint = _unpickled(path)
    # Bytes that are no checkpoint can fail in PyTorch's reader in any way.
    except (
        pickle.UnpicklingError, SafetensorError, OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError,
        AttributeError,
    ) as error:  # fmt: skip
        raise WeightsError(f"{path}: {_what_is_wrong(path, error)}") from error
    return checkpoint if has_metadata(path) else unwrapped(checkpoint, str(path), fits)


def _unpickled(path: Path) -> Any:
    with torch.serialization.safe_globals(_ARRAYS + _IGNORED), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what PyTorch warns of, it then refuses
        with open(path, "rb") as file:  # of a path PyTorch would look at the name
            return torch.load(file, map_location="cpu", weights_only=True)


def unwrapped(checkpoint: Any, name: str, fits: Fits = lambda tensors: True) -> dict[str, Tensor]:
    """The tensors of the network in a checkpoint by key, without what they are wrapped in, see `wrappers`.

    Of several networks it is the first that fits, averaged weights (EMA) before others; an `RsnWarning` says which.

    Args:
        checkpoint: what a file holds. name: of it, for messages.
        fits: says of a network's tensors whether they are the ones that are looked for.

    Raises:
        WeightsError: it is not a dictionary, or there is no tensor in it.
    """
    try:
        networks = networks_in(checkpoint)
    except WeightsError as error:
        raise WeightsError(f"{name}: {error}") from error
    place = next(iter(networks))
    if len(networks) > 1:
        place = next((place for place, tensors in networks.items() if fits(tensors)), place)
        others = [other for other in networks if not same_tensors(networks[other], networks[place])]
        if others:
            used, left = (" and ".join(f"'{one}'" for one in places) for places in ([place], others))
            warnings.warn(
                f"{name} holds several networks: the one in {used} is used, not {left}; to use another, save it alone",
                RsnWarning,
                stacklevel=2,
            )
    return networks[place]


def has_metadata(path: Path) -> bool:
    """Whether a file is one of ours that says what it is.

    Raises:
        WeightsError: it cannot be read.
    """
    return _is_safetensors(path) and METADATA_KEY in _metadata(path)


def read_metadata(path: Path) -> Metadata:
    """The metadata in a weights file of this package.

    Raises:
        WeightsError: not a safetensors file, or one without valid metadata.
    """
    metadata = _metadata(path)
    try:
        return parse_metadata(metadata)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def _metadata(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: {_what_is_wrong(path, error)}") from error


def _is_safetensors(path: Path) -> bool:
    """By how it begins, whatever it is called: eight bytes, then a JSON object."""
    return _beginning(path)[8:9] == b"{"


def _beginning(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(64)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error})") from error


def _what_is_wrong(path: Path, error: Exception) -> str:
    """Why a file could not be read; what PyTorch says of it is long, and advises to run what is in the file."""
    beginning = _beginning(path).lstrip()
    if not beginning:
        return "is empty; copy or download it again"
    if beginning.startswith(b"<"):
        return "is a web page and no weights; see what it says, and download the file itself"
    refused = re.search(r"GLOBAL (\S+)", str(error))
    if refused:
        return (
            f"holds more than tensors: it asks for {refused[1]}, and that could run code; if you trust it, save its"
            " state dict alone"
        )
    if "TorchScript" in str(error):
        return "is a program (TorchScript) and could do anything; save its state dict alone"
    return "holds no weights that can be read: it is damaged, cut short, or something else; download it again"
