"""Parts of a network, chosen by patterns on module names: which are frozen, and which learn at another rate."""

import fnmatch
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from torch import Tensor, nn

from rsn.errors import RecipeError

MULTIPLIERS = "optimization.learning_rate_multipliers"


def freeze_modules(network: nn.Module, patterns: Sequence[str]) -> None:
    """Exclude the modules whose names match a pattern, such as stem or stages.*.heads, from training.

    Raises:
        RecipeError: a pattern matches no module, or all parameters are frozen.
    """
    for pattern in patterns:
        for module in _find_modules(network, pattern, "freeze"):
            module.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise RecipeError("Invalid freeze: expected some parameters to train, got patterns that match all of them")


def split_groups(
    groups: Sequence[dict[str, Any]], network: nn.Module, multipliers: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Parameter groups of an optimizer, each with a rate `lr`, split so that modules learn at their own rates.

    multipliers: factors on `lr` by pattern; of several patterns that match a module, or one that it is part of, the
        last one counts.

    Raises:
        RecipeError: a pattern matches no module.
    """
    factors: dict[Tensor, float] = {}
    for pattern, factor in multipliers.items():
        for module in _find_modules(network, pattern, MULTIPLIERS):
            factors |= dict.fromkeys(module.parameters(), factor)
    found = []
    for group in groups:
        parts: dict[float, list[Tensor]] = {}
        for parameter in group["params"]:
            parts.setdefault(factors.get(parameter, 1.0), []).append(parameter)
        found += [group | {"params": part, "lr": factor * group["lr"]} for factor, part in parts.items()]
    return found


def _find_modules(network: nn.Module, pattern: str, setting: str) -> list[nn.Module]:
    modules = dict(network.named_modules())
    matched = fnmatch.filter(modules, pattern)
    if not matched:
        names = list(dict.fromkeys(re.sub(r"\b\d+\b", "*", name) for name in modules if name))
        nearest = get_close_matches(pattern, names, 3, 0.5) or [name for name in names if name.count(".") < 3]
        raise RecipeError(
            f"Invalid {setting}: expected patterns of module names, got {pattern!r}, which matches none; the nearest"
            f" are {', '.join(nearest)}"
        )
    return [modules[name] for name in matched]
