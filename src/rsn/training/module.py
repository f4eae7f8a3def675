"""What one training step computes, for Lightning."""

from typing import Any, cast

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from rsn.datasets.loading import CropBatch
from rsn.datasets.resident import PlanBatch, ResidentPictures
from rsn.heatmaps import encode
from rsn.networks.card import Card
from rsn.networks.network import PoseNetwork
from rsn.networks.stages import HeatmapHead
from rsn.training.health import UnreadableImages
from rsn.training.optimisation import build_optimizer, build_schedule, use_learning_rate
from rsn.training.recipe import Recipe
from rsn.training.steps import loss_by


class PoseTraining(LightningModule):
    """Crops, targets and loss of a recipe around a network; targets are rendered on the network's device."""

    def __init__(
        self,
        network: PoseNetwork,
        card: Card,
        recipe: Recipe,
        unreadable: UnreadableImages,
        pictures: ResidentPictures | None = None,
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss_of = loss_by(recipe.compute.step, self.network, self._loss_of)
        self.card = card
        self.recipe = recipe
        self.unreadable = unreadable
        self.pictures = pictures

    def on_before_batch_transfer(self, batch: CropBatch, dataloader_idx: int) -> CropBatch:
        """Note what could not be read while it is still on the CPU, where looking costs nothing."""
        self.unreadable.note(batch["unreadable"])
        return batch

    def training_step(self, batch: CropBatch | PlanBatch) -> Tensor:
        """The recipe's loss of one batch."""
        targets = encode(
            batch["keypoints"], batch["visibility"], self.card.input_size, decoder=self.card.decoder
        )
        loss = self.loss_of(batch, targets)
        self.log("train/loss", loss, sync_dist=True)  # the mean over the processes
        return loss

    def _loss_of(self, batch: CropBatch | PlanBatch, targets: Tensor) -> Tensor:
        """All that is captured. Not the targets, whose tables are made once, on the CPU."""
        pixels = self._cut(batch)
        crops = self.card.normalise(pixels).to(self.dtype).contiguous(memory_format=torch.channels_last)
        predictions = [
            [level.to(torch.promote_types(level.dtype, torch.float32)) for level in stage]
            for stage in self.network.heatmaps(crops)
        ]
        return self.recipe.loss(predictions, targets, batch["visibility"])

    def _cut(self, batch: CropBatch | PlanBatch) -> Tensor:
        """(N, 3, H, W) uint8 RGB; cut here, where the pictures are on the device."""
        if self.pictures is None:
            return cast(CropBatch, batch)["image"]
        return self.pictures.images(cast(PlanBatch, batch), self.card.input_size)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The recipe's optimizer, and a learning rate that changes with every step."""
        optimizer = build_optimizer(self.network, self.recipe.optimisation)
        schedule = build_schedule(optimizer, self.recipe.optimisation)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the list of unreadable pictures for a run that resumes."""
        checkpoint["unreadable"] = sorted(self.unreadable.found)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the list up again, and go on with the recipe's learning rate, which may be another than before."""
        use_learning_rate(checkpoint, self.recipe.optimisation)
        self.unreadable.found.update(checkpoint.get("unreadable", ()))


def set_head_gain(network: PoseNetwork, gain: float) -> None:
    """Give the last batch norm of every heatmap head this gain."""
    for module in network.modules():
        if isinstance(module, HeatmapHead):
            torch.nn.init.constant_(module.predict.norm.weight, gain)
