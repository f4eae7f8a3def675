"""Where a checkpoint keeps the tensors of a network: in nested dictionaries, under prefixes, beside other networks."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from rsn.errors import WeightsError
from rsn.weights.conversion import SIGNS, ends_in

DEEPEST = 5  # dictionaries within each other, as {"callbacks": {"AveragedWeights": {"network": {...}}}}
NAMED_AT_MOST = 10  # keys that an error lists

# What DDP, torch.compile, FSDP and activation checkpointing put into names, before all of them or in the middle.
_PART = r"(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)"
_PARTS = re.compile(rf"(^|\.)(?:{_PART}\.)+")
_AVERAGED = re.compile(r"(?:^|[^a-z])(?:ema|avg|swa)(?:[^a-z]|$)|averaged", re.IGNORECASE)
_MMENGINE = (
    "state_dict.",
    "ema_state_dict.",
)  # where it saves averaged weights, and, beside them, the last ones


def networks_in(checkpoint: Any) -> dict[str, dict[str, Tensor]]:
    """The networks in a checkpoint, by where they are; averaged weights (EMA) first.

    Every nesting of dictionaries and lists is searched. A network is known by a tensor that one of the known layouts
    has; what stands before that tensor's name is a prefix, and is removed from all names that have it. Of a
    checkpoint without such a tensor it is the largest group of tensors, as it is.

    Raises:
        WeightsError: it is not a dictionary, or there is no tensor with a name in it.
    """
    if not isinstance(checkpoint, Mapping | list | tuple):
        raise WeightsError("the checkpoint is not a dictionary of tensors")
    groups = dict(_groups(checkpoint))
    if not groups:
        if not isinstance(checkpoint, Mapping):
            raise WeightsError("the checkpoint is not a dictionary of tensors")
        keys = [str(key) for key in checkpoint]
        more = ", ..." if len(keys) > NAMED_AT_MOST else ""
        listed = ", ".join(keys[:NAMED_AT_MOST])
        raise WeightsError(f"the checkpoint holds no tensors by name; its keys are {listed or 'none'}{more}")
    found = {
        place + prefix: network
        for place, tensors in groups.items()
        for prefix, network in _without_prefixes(tensors)
    }
    if not found:
        place = max(groups, key=lambda name: len(groups[name]))
        return {place: groups[place]}
    of_mmengine = all(any(place.startswith(name) for place in found) for name in _MMENGINE)
    return dict(sorted(found.items(), key=lambda item: _rank(item[0], of_mmengine)))


def same_tensors(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    """Whether two groups of tensors have the same names and numbers."""
    return a.keys() == b.keys() and all(
        a[key].shape == b[key].shape and torch.equal(a[key], b[key]) for key in a
    )


def _groups(value: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """(place, tensors by name) of every dictionary that has tensors; a place is empty or ends in a dot."""
    items = list(value.items() if isinstance(value, Mapping) else enumerate(value))
    tensors = {key: tensor for key, tensor in items if isinstance(key, str) and isinstance(tensor, Tensor)}
    if tensors:
        yield place, {_PARTS.sub(r"\1", key): tensor for key, tensor in tensors.items()}
    if depth < DEEPEST:
        for key, inner in items:
            if isinstance(inner, Mapping | list | tuple):
                yield from _groups(inner, f"{place}{key}.", depth + 1)


def _without_prefixes(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """(prefix, tensors without it) of every network whose tensors are among these."""
    prefixes = {
        (key.removesuffix(sign), layout) for key in tensors for layout, sign in SIGNS if ends_in(key, sign)
    }
    for prefix, layout in sorted(prefixes):
        network = {
            key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)
        }
        others = any(not key.startswith(prefix) and tensor.ndim for key, tensor in tensors.items())
        if (
            layout != "torchvision" or not others
        ):  # a ResNet-50 within a larger network is only a part of that
            yield prefix, network


def _rank(place: str, of_mmengine: bool) -> int:
    """0 for averaged weights, 1 for others."""
    averaged, _ = _MMENGINE
    return int(not (place.startswith(averaged) if of_mmengine else _AVERAGED.search(place)))
