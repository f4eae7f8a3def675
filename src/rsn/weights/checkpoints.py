"""Read the tensors and the metadata of a weights file without running code that a file may contain."""

import pickle
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from rsn.errors import RsnWarning, WeightsError
from rsn.weights.files import explain_damage, has_metadata, is_safetensors
from rsn.weights.wrappers import find_networks, same_tensors

Fits = Callable[[Mapping[str, Tensor]], bool]

# Checkpoints of MMPose describe their dataset with small arrays, so a pickle may contain arrays besides tensors.
# Files written with numpy 1 name the functions that create them differently.
_reconstruct, _scalar = (np.empty(0).__reduce__()[0], np.float64(0).__reduce__()[0])
_ARRAYS: list[Any] = [
    np.ndarray,
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("uint8", "int32", "int64", "float32", "float64")),
    *((_reconstruct, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    *((_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]


class _Ignored:
    """Replaces objects that training programs store beside their weights: takes any arguments and does nothing."""

    def __init__(self, *_: Any) -> None:
        pass


# The log of MMEngine, whose buffers name their methods by getattr (neither is called), and command line options.
_IGNORED: list[Any] = [
    (_Ignored, "mmengine.logging.history_buffer.HistoryBuffer"),
    (_Ignored, "builtins.getattr"),
    (_Ignored, "argparse.Namespace"),
]


def read_tensors(path: Path, fits: Fits = lambda tensors: True) -> dict[str, Tensor]:
    """The tensors of the network in a file, on the CPU; of a file without metadata, those that `select_network` finds.

    A pickle may contain tensors, plain Python values, arrays of numbers, and the log of a training run of MMPose, which
    is ignored. Anything else is refused.

    Raises:
        WeightsError: the file cannot be read, is truncated, or contains more than that.
    """
    try:
        if is_safetensors(path):
            with safe_open(path, framework="pt") as tensors:
                checkpoint: Any = {key: tensors.get_tensor(key) for key in tensors.keys()}
        else:
            checkpoint = _unpickle(path)
    # Bytes that are no checkpoint can fail in PyTorch's reader in any way.
    except (
        pickle.UnpicklingError, SafetensorError, OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError,
        AttributeError,
    ) as error:  # fmt: skip
        raise WeightsError(f"{path}: {explain_damage(path, error)}") from error
    return checkpoint if has_metadata(path) else select_network(checkpoint, str(path), fits)


def _unpickle(path: Path) -> Any:
    with torch.serialization.safe_globals(_ARRAYS + _IGNORED), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch refuses what it warns of
        with open(path, "rb") as file:  # given a path, PyTorch would look at its suffix
            return torch.load(file, map_location="cpu", weights_only=True)


def select_network(checkpoint: Any, name: str, fits: Fits = lambda tensors: True) -> dict[str, Tensor]:
    """The tensors of one network in a checkpoint, without prefixes, see `wrappers`.

    Of several networks it is the first that fits, averaged weights (EMA) before others; an `RsnWarning` says which.

    Args:
        checkpoint: the content of a file. name: of the file, for messages.
        fits: whether tensors belong to the wanted network.

    Raises:
        WeightsError: it is no dictionary, or contains no tensors.
    """
    try:
        networks = find_networks(checkpoint)
    except WeightsError as error:
        raise WeightsError(f"{name}: {error}") from error
    selected = next(iter(networks))
    if len(networks) > 1:
        selected = next((key for key, tensors in networks.items() if fits(tensors)), selected)
        others = [key for key in networks if not same_tensors(networks[key], networks[selected])]
        if others:
            warnings.warn(
                f"{name} contains several networks: '{selected}' is used, not"
                f" {' and '.join(map(repr, others))}; to use another one, save it alone",
                RsnWarning,
                stacklevel=2,
            )
    return networks[selected]
