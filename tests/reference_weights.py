"""Weights as the oracles fill them: every tensor follows from its name in the reference implementation."""

import json
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

GAIN = 0.85  # keeps activations of the same size from layer to layer


def reference_state(keys: Path) -> dict[str, Tensor]:
    """The state dict that a keys_*.json file lists."""
    return filled(json.loads(keys.read_text(encoding="utf-8"))["keys"])


def filled(keys: Iterable[tuple[str, Sequence[int]]]) -> dict[str, Tensor]:
    """A state dict of the reference, from the names and shapes of its parameters."""
    return {key: torch.from_numpy(_tensor(key, tuple(shape))) for key, shape in keys}


def _tensor(key: str, shape: tuple[int, ...]) -> np.ndarray:
    random = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf == "running_var" or (leaf == "weight" and len(shape) == 1):
        values = random.uniform(0.5, 1.5, shape)
    elif leaf == "weight":
        values = random.standard_normal(shape) * GAIN / np.sqrt(np.prod(shape[1:]))
    else:
        values = random.standard_normal(shape) * 0.1
    return np.asarray(values, np.float32)
