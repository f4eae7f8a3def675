"""Tensors and cards in files, read without running any code that a file may hold."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from rsn.errors import WeightsError
from rsn.networks.card import METADATA_KEY, Card

# MMPose's checkpoints describe their data set with small arrays of numbers, so those may be in a pickle besides
# tensors. Files written before numpy 2 know the function that makes them by its older name.
_reconstruct = np.empty(0).__reduce__()[0]
_ARRAYS: list[Any] = [
    np.ndarray,
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("uint8", "int32", "int64", "float32", "float64")),
    *((_reconstruct, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a weights file by key, on the CPU and out of their wrappers (`state_dict`, `model`).

    A pickle may hold tensors, plain Python values and arrays of numbers; one that asks for anything else is refused.

    Raises:
        WeightsError: the file cannot be read, is cut short, or holds more than that.
    """
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                return {key: file.get_tensor(key) for key in file.keys()}
        with torch.serialization.safe_globals(_ARRAYS):
            return unwrapped(torch.load(path, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: not a PyTorch checkpoint, or one that holds more than tensors, and reading that could run code;"
            " if you trust it, save its state dict alone"
        ) from error
    # Bytes that are no checkpoint can fail in PyTorch's reader in any way.
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError) as error:
        raise WeightsError(f"{path}: cannot be read as weights ({_first_line(error)})") from error


def unwrapped(checkpoint: Any) -> dict[str, Tensor]:
    """The tensors of a checkpoint, by key, whatever they are wrapped in.

    Raises:
        WeightsError: it is not a dictionary, or there is no tensor in it.
    """
    for wrapper in ("state_dict", "model"):
        if isinstance(checkpoint, Mapping) and isinstance(checkpoint.get(wrapper), Mapping):
            checkpoint = checkpoint[wrapper]
    if not isinstance(checkpoint, Mapping):
        raise WeightsError("the checkpoint is not a dictionary of tensors")
    tensors = {key: value for key, value in checkpoint.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError("the checkpoint holds no tensors")
    return tensors


def has_card(path: Path) -> bool:
    """Whether a file is one of ours that says what it is."""
    if path.suffix != ".safetensors":
        return False
    return METADATA_KEY in _metadata(path)


def read_card(path: Path) -> Card:
    """The card in one of our files.

    Raises:
        WeightsError: not a safetensors file, or one without a card that can be read.
    """
    try:
        return Card.from_metadata(_metadata(path))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def _metadata(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"not a weights file of ours ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
