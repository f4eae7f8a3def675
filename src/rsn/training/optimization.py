"""The optimizer and the learning rate schedule of a recipe."""

import math
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from rsn.errors import RecipeError
from rsn.training.muon import MOMENTUM, Muon
from rsn.training.parts import split_groups
from rsn.training.recipe import OptimizationConfig

WARMUP_START = 0.1  # of the learning rate
_OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def build_optimizer(network: nn.Module, config: OptimizationConfig) -> torch.optim.Optimizer:
    """Adam (reference), AdamW or Muon, with weight decay on all trainable parameters or on convolutions only.

    Raises:
        RecipeError: a pattern of `learning_rate_multipliers` matches no module; Muon, and no matrix to train.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    vectors = [value for value in parameters if value.ndim < 2]
    matrices = [value for value in parameters if value.ndim > 1]
    decay, rate = config.weight_decay, config.learning_rate
    if config.decay_norm_and_bias and config.optimizer != "muon":
        groups = [{"params": parameters, "weight_decay": decay, "lr": rate}]
    else:
        groups = [
            {"params": matrices, "weight_decay": decay, "lr": rate},
            {"params": vectors, "weight_decay": decay if config.decay_norm_and_bias else 0.0, "lr": rate},
        ]
    if config.optimizer == "muon":
        groups[0] |= {"lr": config.muon_learning_rate, "momentum": MOMENTUM}
        if not matrices:
            raise RecipeError(
                "Invalid optimization.optimizer: expected adamw, since muon trains convolutions and matrices and the"
                " network has none that are not frozen, got muon"
            )
    groups = split_groups(groups, network, config.learning_rate_multipliers)
    if config.optimizer == "muon":
        return Muon(groups)
    optimizer: type[torch.optim.Adam] = _OPTIMIZERS[config.optimizer]
    return optimizer(groups, fused=True)  # fused: the same numbers, in one kernel


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

    It rises from a tenth during the warm-up, then falls to zero, linearly or as half a cosine, over the last
    `decay_share` of the steps. The reference counts from 1, so that its last step has a rate of exactly 0, as here.
    """
    count = step + 1
    if count < config.warmup_steps:
        return WARMUP_START + (1 - WARMUP_START) * count / config.warmup_steps
    falling = min(config.steps - config.warmup_steps, round(config.decay_share * config.steps))
    left = min(max(config.steps - count, 0) / max(falling, 1), 1.0)
    return left if config.schedule == "linear" else (1 - math.cos(math.pi * left)) / 2
