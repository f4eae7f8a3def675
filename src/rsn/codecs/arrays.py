"""Operations of decoding that NumPy and PyTorch name differently.

A codec decodes tensors, where a network runs in PyTorch, and arrays, where it runs in a library that needs no PyTorch.
Everything else that decoding uses has the same name and the same arguments in both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Array = TypeVar("Array", "Tensor", NDArray[Any])


def library_of(values: Any) -> Any:
    """The module whose functions take these values: numpy for an array, torch for a tensor."""
    if isinstance(values, np.ndarray):
        return np
    import torch

    return torch


def as_array(values: Any) -> NDArray[Any]:
    """The values as a NumPy array, on the CPU."""
    return values if isinstance(values, np.ndarray) else np.asarray(values.cpu())


def take(values: Any, index: Any) -> Any:
    """The values at these indices of the last axis: (..., n) and (..., m) -> (..., m)."""
    if isinstance(values, np.ndarray):
        return np.take_along_axis(values, index, -1)
    return values.gather(-1, index)


def replaced(values: Any, index: Any, value: float) -> Any:
    """A copy with another value at these indices of the last axis."""
    if not isinstance(values, np.ndarray):
        return values.scatter(-1, index, value)
    copy = values.copy()
    np.put_along_axis(copy, index, value, -1)
    return copy


def surrounded(maps: Any, margin: int) -> Any:
    """Maps (N, K, h, w) with `margin` zeros on all four sides."""
    if isinstance(maps, np.ndarray):
        return np.pad(maps, [(0, 0), (0, 0), (margin, margin), (margin, margin)])
    from torch.nn.functional import pad

    return pad(maps, [margin] * 4)


def best_first(values: Any, count: int) -> Any:
    """The indices of the `count` highest values of the last axis, highest first, equal ones in their order."""
    if isinstance(values, np.ndarray):
        return np.argsort(-values, -1, kind="stable")[..., :count]
    return values.argsort(dim=-1, descending=True, stable=True)[..., :count]


def as_floats(values: Any, like: Any) -> Any:
    """Whole numbers or booleans as numbers of the type that `like` has."""
    return values.astype(like.dtype) if isinstance(values, np.ndarray) else values.to(like.dtype)


def as_indices(values: Any) -> Any:
    """Whole numbers of any type as indices."""
    return values.astype(np.int64) if isinstance(values, np.ndarray) else values.long()
