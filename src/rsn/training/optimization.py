"""From a recipe's settings to an optimizer and a learning rate for every step."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from rsn.training.recipe import OptimizationConfig

FIRST_FACTOR = 0.1  # of the learning rate, where the warm-up begins
_OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def build_optimizer(network: nn.Module, settings: OptimizationConfig) -> torch.optim.Optimizer:
    """Adam (reference) or AdamW with the recipe's weight decay, on all parameters or on convolutions only."""
    decayed, spared = _parameters(network, settings)
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    optimizer: type[torch.optim.Adam] = _OPTIMIZERS[settings.optimizer]
    return optimizer(
        [group for group in groups if group["params"]],
        lr=settings.learning_rate,
        fused=True,  # the same numbers, in one kernel
    )


def build_schedule(optimizer: torch.optim.Optimizer, settings: OptimizationConfig) -> LambdaLR:
    """`learning_rate_factor` for every step."""
    return LambdaLR(optimizer, lambda step: learning_rate_factor(step, settings))


def use_learning_rate(checkpoint: dict[str, Any], settings: OptimizationConfig) -> None:
    """Give a state that is resumed from the recipe's learning rate, instead of the one that it was written with."""
    for optimizer in checkpoint["optimizer_states"]:
        for group in optimizer["param_groups"]:
            group["lr"] *= settings.learning_rate / group["initial_lr"]
            group["initial_lr"] = settings.learning_rate
    for schedule in checkpoint["lr_schedulers"]:
        schedule["_last_lr"] = [group["lr"] for group in checkpoint["optimizer_states"][0]["param_groups"]]
        schedule["base_lrs"] = [settings.learning_rate] * len(schedule["base_lrs"])


def learning_rate_factor(step: int, settings: OptimizationConfig) -> float:
    """The learning rate of the (0-based) step in units of the recipe's.

    Up from a tenth during the warm-up, then to zero, linearly or as a half cosine. The reference counts from 1, so its
    last step has a rate of exactly 0; so has ours.
    """
    count = step + 1
    if count < settings.warmup_steps:
        return FIRST_FACTOR + (1 - FIRST_FACTOR) * count / settings.warmup_steps
    left = max(settings.steps - count, 0) / max(settings.steps - settings.warmup_steps, 1)
    return left if settings.schedule == "linear" else (1 - math.cos(math.pi * left)) / 2


def _parameters(
    network: nn.Module, settings: OptimizationConfig
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    parameters: Iterable[nn.Parameter] = network.parameters()
    if settings.decay_norm_and_bias:
        return list(parameters), []
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for parameter in parameters:  # norms and biases are the vectors
        (spared if parameter.ndim == 1 else decayed).append(parameter)
    return decayed, spared
