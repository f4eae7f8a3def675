"""What one training step computes, for Lightning."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from rsn.data.device_images import DeviceImages
from rsn.data.loading import Batch
from rsn.models.network import PoseNetwork
from rsn.models.stages import HeatmapHead
from rsn.training.health import UnreadableImages
from rsn.training.optimization import build_optimizer, build_schedule, use_learning_rate
from rsn.training.recipe import BaseRecipe, Recipe
from rsn.training.steps import build_loss_function
from rsn.weights.metadata import ModelMetadata

Levels = Sequence[
    Sequence[Tensor]
]  # stages of levels, coarse to fine, each (N, K, h, w): `PoseNetwork.heatmaps`


class TrainingModule(LightningModule, ABC):
    """Crops, targets and loss around a network; subclasses say what the targets and the loss are.

    `images` are the images where they stay on the device; else a batch has the crops.
    """

    def __init__(
        self, network: PoseNetwork, metadata: ModelMetadata, recipe: BaseRecipe, images: DeviceImages | None
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss_of = build_loss_function(recipe.compute.step, self.network, self._loss_of)
        self.metadata = metadata
        self.optimization = recipe.optimization
        self.images = images

    @abstractmethod
    def prepare(self, batch: Any) -> tuple[Any, ...]:
        """A batch as what `cut` takes, followed by the targets that `compare` takes."""

    @abstractmethod
    def cut(self, images: DeviceImages, shown: Any) -> Tensor:
        """Cut the crops of a batch from images on the device: (N, 3, H, W) uint8 RGB."""

    @abstractmethod
    def compare(self, predictions: Levels, *targets: Any) -> Tensor:
        """The loss, a scalar."""

    def training_step(self, batch: Any) -> Tensor:
        """The loss of one batch."""
        loss = self.loss_of(*self.prepare(batch))
        self.log("train/loss", loss, sync_dist=True)  # the mean over the processes
        return loss

    def _loss_of(self, shown: Mapping[str, Tensor], *targets: Any) -> Tensor:
        """All that is captured. Not `prepare`, whose work depends on the batch."""
        pixels = shown["image"] if self.images is None else self.cut(self.images, shown)
        crops = self.metadata.normalize(pixels).to(self.dtype).contiguous(memory_format=torch.channels_last)
        predictions = [
            [level.to(torch.promote_types(level.dtype, torch.float32)) for level in stage]
            for stage in cast(PoseNetwork, self.network).heatmaps(crops)
        ]
        return self.compare(predictions, *targets)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The recipe's optimizer, and a learning rate that changes with every step."""
        optimizer = build_optimizer(self.network, self.optimization)
        schedule = build_schedule(optimizer, self.optimization)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the recipe's learning rate, which may be another than before."""
        use_learning_rate(checkpoint, self.optimization)


class PoseTraining(TrainingModule):
    """Trains a pose network; targets are rendered on the network's device.

    `loss(predictions, targets, visibility)` replaces the recipe's, see `PoseLoss.terms`.
    """

    def __init__(
        self,
        network: PoseNetwork,
        metadata: ModelMetadata,
        recipe: Recipe,
        unreadable: UnreadableImages,
        images: DeviceImages | None = None,
        loss: Callable[[Levels, Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__(network, metadata, recipe, images)
        self.loss = recipe.loss if loss is None else loss
        self.unreadable = unreadable

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Note what could not be read while it is still on the CPU, where looking costs nothing."""
        self.unreadable.note(batch["unreadable"])
        return batch

    def prepare(self, batch: Batch) -> tuple[Batch, Tensor, Tensor]:
        """Render the targets."""
        visibility = batch["visibility"]
        targets = self.metadata.codec.encode(batch["keypoints"], visibility, self.metadata.input_size)
        return batch, targets, visibility

    def cut(self, images: DeviceImages, shown: Batch) -> Tensor:
        """One image for each crop."""
        return images.images(shown, self.metadata.input_size)

    def compare(self, predictions: Levels, *targets: Tensor) -> Tensor:
        """The recipe's loss, or the user's."""
        heatmaps, visibility = targets
        return self.loss(predictions, heatmaps, visibility)

    def on_train_end(self) -> None:
        """Warn of what could not be read."""
        self.unreadable.tell()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the list of unreadable images for a run that resumes."""
        checkpoint["unreadable"] = sorted(self.unreadable.found)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the list up again."""
        super().on_load_checkpoint(checkpoint)
        self.unreadable.found.update(checkpoint.get("unreadable", ()))


def set_head_gain(network: PoseNetwork, gain: float) -> None:
    """Give the last batch norm of every heatmap head this gain."""
    for module in network.modules():
        if isinstance(module, HeatmapHead):
            torch.nn.init.constant_(module.predict.norm.weight, gain)
