"""Find the networks in a checkpoint: in nested dictionaries, under prefixes, beside other networks."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from rsn.errors import WeightsError
from rsn.weights.conversion import FORMAT_SIGNS, has_ending

MAX_DEPTH = 5  # of nested dictionaries, such as {"callbacks": {"AveragedWeights": {"network": {...}}}}
MAX_LISTED = 10  # keys in an error message

# What DDP, torch.compile, FSDP and activation checkpointing add to names, at the beginning or inside.
_ADDED = r"(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)"
_ADDED_PARTS = re.compile(rf"(^|\.)(?:{_ADDED}\.)+")
_AVERAGED = re.compile(r"(?:^|[^a-z])(?:ema|avg|swa)(?:[^a-z]|$)|averaged", re.IGNORECASE)
_MMENGINE = (
    "state_dict.",
    "ema_state_dict.",
)  # MMEngine has averaged weights in the first, the last ones beside them


def find_networks(checkpoint: Any) -> dict[str, dict[str, Tensor]]:
    """The networks in a checkpoint, by their path and prefix; averaged weights (EMA) first.

    All nested dictionaries and lists are searched. A network is recognized by a tensor that only a known format has;
    what precedes that tensor's name is a prefix, which is removed from all names that have it. Without such a tensor
    the largest group of tensors is returned unchanged.

    Raises:
        WeightsError: it is no dictionary, or has no named tensors.
    """
    groups = dict(_tensor_groups(checkpoint)) if isinstance(checkpoint, Mapping | list | tuple) else {}
    if not groups:
        if not isinstance(checkpoint, Mapping):
            raise WeightsError("the checkpoint is not a dictionary of tensors")
        keys = [str(key) for key in checkpoint]
        more = ", ..." if len(keys) > MAX_LISTED else ""
        listed = ", ".join(keys[:MAX_LISTED])
        raise WeightsError(f"the checkpoint holds no tensors by name; its keys are {listed or 'none'}{more}")
    networks = {
        path + prefix: network for path, tensors in groups.items() for prefix, network in _without_prefixes(tensors)
    }
    if not networks:
        path = max(groups, key=lambda name: len(groups[name]))
        return {path: groups[path]}
    by_mmengine = all(any(path.startswith(name) for path in networks) for name in _MMENGINE)

    def is_last(path: str) -> bool:  # not averaged
        return not (path.startswith(_MMENGINE[0]) if by_mmengine else _AVERAGED.search(path))

    return {path: networks[path] for path in sorted(networks, key=is_last)}


def same_tensors(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    """Whether two groups of tensors have the same names and values."""
    return a.keys() == b.keys() and all(a[key].shape == b[key].shape and torch.equal(a[key], b[key]) for key in a)


def _tensor_groups(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """(path, tensors by name) of every dictionary with tensors; a path is empty or ends with a dot."""
    items = list(value.items() if isinstance(value, Mapping) else enumerate(value))
    tensors = {key: tensor for key, tensor in items if isinstance(key, str) and isinstance(tensor, Tensor)}
    if tensors:
        yield path, {_ADDED_PARTS.sub(r"\1", key): tensor for key, tensor in tensors.items()}
    if depth < MAX_DEPTH:
        for key, inner in items:
            if isinstance(inner, Mapping | list | tuple):
                yield from _tensor_groups(inner, f"{path}{key}.", depth + 1)


def _without_prefixes(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """(prefix, tensors without it) of every network in a group of tensors."""
    prefixes = {
        (key.removesuffix(sign), name) for key in tensors for name, sign in FORMAT_SIGNS if has_ending(key, sign)
    }
    for prefix, name in sorted(prefixes):
        others = any(not key.startswith(prefix) and tensor.ndim for key, tensor in tensors.items())
        if name != "torchvision" or not others:  # a ResNet-50 in a larger network is only a part of it
            yield (
                prefix,
                {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)},
            )
