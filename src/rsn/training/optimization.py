"""The optimizer and the learning rate schedule of a recipe."""

import math
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from rsn.training.parts import split_groups
from rsn.training.recipe import OptimizationConfig

WARMUP_START = 0.1  # of the learning rate
_OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def build_optimizer(network: nn.Module, config: OptimizationConfig) -> torch.optim.Optimizer:
    """Adam (reference) or AdamW, with weight decay on all trainable parameters or on convolutions only.

    Raises:
        RecipeError: a pattern of `learning_rate_multipliers` matches no module.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    not_decayed = [] if config.decay_norm_and_bias else [value for value in parameters if value.ndim == 1]
    decayed = parameters if config.decay_norm_and_bias else [value for value in parameters if value.ndim != 1]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay, "lr": config.learning_rate},
        {"params": not_decayed, "weight_decay": 0.0, "lr": config.learning_rate},
    ]
    optimizer: type[torch.optim.Adam] = _OPTIMIZERS[config.optimizer]
    return optimizer(
        split_groups(groups, network, config.learning_rate_multipliers),
        fused=True,  # the same numbers, in one kernel
    )


def build_schedule(optimizer: torch.optim.Optimizer, config: OptimizationConfig) -> LambdaLR:
    """`learning_rate_factor` for every step."""
    return LambdaLR(optimizer, lambda step: learning_rate_factor(step, config))


def use_learning_rate(checkpoint: dict[str, Any], optimizer: torch.optim.Optimizer) -> None:
    """Replace the learning rates in a checkpoint by those of a new optimizer for the same network."""
    groups = checkpoint["optimizer_states"][0]["param_groups"]
    rates = [group.get("initial_lr", group["lr"]) for group in optimizer.param_groups]
    for group, rate in zip(groups, rates, strict=True):
        group["lr"] *= rate / group["initial_lr"]
        group["initial_lr"] = rate
    for schedule in checkpoint["lr_schedulers"]:
        schedule["_last_lr"] = [group["lr"] for group in groups]
        schedule["base_lrs"] = list(rates)


def learning_rate_factor(step: int, config: OptimizationConfig) -> float:
    """The learning rate of the (0-based) step, as a share of the maximum.

    It rises from a tenth during the warm-up, then falls to zero, linearly or as half a cosine. The reference counts
    from 1, so that its last step has a rate of exactly 0, as here.
    """
    count = step + 1
    if count < config.warmup_steps:
        return WARMUP_START + (1 - WARMUP_START) * count / config.warmup_steps
    left = max(config.steps - count, 0) / max(config.steps - config.warmup_steps, 1)
    return left if config.schedule == "linear" else (1 - math.cos(math.pi * left)) / 2
