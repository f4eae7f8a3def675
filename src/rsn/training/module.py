"""What one training step computes, for Lightning."""

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from rsn.datasets.loading import CropBatch
from rsn.heatmaps import encode
from rsn.networks.card import Card
from rsn.networks.network import PoseNetwork
from rsn.networks.stages import HeatmapHead
from rsn.training.recipe import Optimisation, Recipe

FIRST_FACTOR = 0.1  # of the learning rate, where the warm-up begins


class PoseTraining(LightningModule):
    """Crops, targets and loss of a recipe around a network; targets are rendered on the network's device."""

    def __init__(self, network: PoseNetwork, card: Card, recipe: Recipe) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.card = card
        self.recipe = recipe

    def training_step(self, batch: CropBatch) -> Tensor:
        """The recipe's loss of one batch."""
        crops = self.card.normalise(batch["image"]).contiguous(memory_format=torch.channels_last)
        targets = encode(batch["keypoints"], batch["visibility"], self.card.input_size)
        predictions = [[level.float() for level in stage] for stage in self.network.heatmaps(crops)]
        loss = self.recipe.loss(predictions, targets, batch["visibility"])
        self.log("train/loss", loss)
        return loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam, and a learning rate that changes with every step."""
        settings = self.recipe.optimisation
        optimizer = torch.optim.Adam(
            self.network.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,  # the same numbers, in one kernel
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(step, settings)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def learning_rate_factor(step: int, settings: Optimisation) -> float:
    """The learning rate of the (0-based) step in units of the recipe's.

    Up from a tenth during the warm-up, then linearly to zero. The reference counts from 1, so its last step has a
    rate of exactly 0; so has ours.
    """
    count = step + 1
    if count < settings.warmup_steps:
        return FIRST_FACTOR + (1 - FIRST_FACTOR) * count / settings.warmup_steps
    left = settings.steps - count
    return max(left, 0) / max(settings.steps - settings.warmup_steps, 1)


def set_head_gain(network: PoseNetwork, gain: float) -> None:
    """Give the last batch norm of every heatmap head this gain."""
    for module in network.modules():
        if isinstance(module, HeatmapHead):
            torch.nn.init.constant_(module.predict.norm.weight, gain)
