"""What one training step computes, for Lightning."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.utils.data import Dataset

from rsn.data.device_images import DeviceImages
from rsn.data.loading import Batch
from rsn.models.stages import HeatmapHead
from rsn.training.optimization import build_optimizer, build_schedule, use_learning_rate
from rsn.training.recipe import BaseRecipe
from rsn.training.steps import CapturedLoss
from rsn.weights.metadata import WeightsMetadata

# Stages of levels, coarse to fine, each (N, K, H/4, W/4), as `PoseNetwork.heatmaps` gives them; a network without
# `heatmaps` has one stage of one level, what it returns.
Predictions = Sequence[Sequence[Any]]
IMAGE_KEYS = ("image", "matrix", "colors", "cutout")  # of a batch: what the crops are made of


@dataclass(frozen=True, eq=False)
class ValidationResult:
    """Results of a validation.

    metrics: by name; the one named `headline` selects the best weights. stored: metrics for the weights' metadata.
    draw: writes an image of predictions to a path. draw_row: writes a low image of the same people at every validation.
    """

    metrics: dict[str, float]
    headline: str
    stored: dict[str, float]
    draw: Callable[[Path], None] | None = None
    draw_row: Callable[[Path], None] | None = None


@dataclass(frozen=True, eq=False)
class Task:
    """What is trained on what: everything in which pose networks and person detectors differ.

    metadata: for the weights files.
    dataset: makes the training set, whose batches have crops; given the numbers of the images that are cached on the
        device, batches have instead what `crop` needs.
    encode: a batch and the size of its crops -> its targets. loss: predictions and targets -> scalar.
    validate: a network, its metadata and its device -> results.
    weights: how often each sample is drawn, see `ShuffledBatches`; None: all alike.
    rescale: adapts the network to crops of another size; None: nothing depends on the size.
    paths, levels: see `DeviceImages`.
    inspect: gets every batch before it is moved to the device.
    headlines: printed at the start.
    """

    network: nn.Module
    metadata: WeightsMetadata
    dataset: Callable[[dict[Path, int] | None], Dataset[Any]]
    encode: Callable[[Batch, tuple[int, int]], tuple[Any, ...]]
    loss: Callable[..., Tensor]
    crop: Callable[[DeviceImages, Batch, tuple[int, int]], Tensor]
    validate: Callable[[nn.Module, WeightsMetadata, str], ValidationResult]
    weights: Sequence[float] | None = None
    rescale: Callable[[nn.Module, tuple[int, int], tuple[int, int]], object] | None = None
    paths: Sequence[Path] = ()
    levels: int = 1
    collate: Callable[[Any], Any] | None = None
    inspect: Callable[[Batch], None] | None = None
    callbacks: Sequence[Callback] = ()
    headlines: Sequence[str] = ()

    def __deepcopy__(self, memo: object) -> "Task":
        return self  # shared with the module that averages the weights

    def metadata_at(self, size: tuple[int, int]) -> WeightsMetadata:
        """The metadata of the network while it is trained with crops of a size (height, width)."""
        return self.metadata if self.rescale is None else replace(self.metadata, input_size=size)


class TrainingModule(LightningModule):
    """The training steps of a task; `images` are the cached images, or None where batches have the crops."""

    def __init__(self, task: Task, recipe: BaseRecipe, images: DeviceImages | None = None) -> None:
        super().__init__()
        self.network = task.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        captured = recipe.compute.step == "captured"
        self.compute_loss = CapturedLoss(self.network, self._loss) if captured else self._loss
        self.task = task
        self.input_size = recipe.intervals()[0].size  # of the crops; changed by `StageChange`
        self.optimization = recipe.optimization
        self.images = images

    def train(self, mode: bool = True) -> "TrainingModule":
        """Set the mode; batch norms that are frozen stay in evaluation mode and keep their statistics."""
        super().train(mode)
        for module in self.network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine:
                module.train(mode and module.weight.requires_grad)
        return self

    def on_train_epoch_start(self) -> None:
        """Set the mode, which a callback may have changed."""
        self.train()

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Let the task inspect the batch while it is on the CPU, where reading values costs nothing."""
        if self.task.inspect:
            self.task.inspect(batch)
        return batch

    def training_step(self, batch: Batch) -> Tensor:
        """The loss of one batch, a scalar."""
        loss = self.compute_loss(*self.prepare(batch))
        self.log("train/loss", loss, sync_dist=True)  # the mean over the processes
        return loss

    def prepare(self, batch: Batch) -> tuple[Any, ...]:
        """The arguments of `compute_loss`. Not captured, since the work may depend on the number of people."""
        inputs = {key: batch[key] for key in IMAGE_KEYS if key in batch}
        return inputs, *self.task.encode(batch, self.input_size)

    def _loss(self, inputs: Batch, *targets: Any) -> Tensor:
        pixels = inputs["image"]
        if self.images is not None:
            pixels = self.task.crop(self.images, inputs, self.input_size)
        crops = self.task.metadata.normalize(pixels).to(self.dtype)
        crops = crops.contiguous(memory_format=torch.channels_last)
        return self.task.loss(compute_predictions(self.network, crops), *targets)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The recipe's optimizer, and a learning rate that changes with every step."""
        optimizer = build_optimizer(self.network, self.optimization)
        schedule = build_schedule(optimizer, self.optimization)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continue with the recipe's learning rates, which may differ from those of the checkpoint."""
        use_learning_rate(checkpoint, build_optimizer(self.network, self.optimization))


def compute_predictions(network: nn.Module, crops: Tensor) -> Predictions:
    """What a network predicts for normalized crops (N, 3, H, W), in float32 at least."""
    heatmaps = getattr(network, "heatmaps", None)
    stages = heatmaps(crops) if heatmaps else [[network(crops)]]
    return [[_at_least_float32(level) for level in stage] for stage in stages]


def _at_least_float32(level: Any) -> Any:
    if isinstance(level, Tensor):
        return level.to(torch.promote_types(level.dtype, torch.float32))
    return level  # of a network and a loss that agree on something else


def set_head_gain(network: nn.Module, gain: float) -> None:
    """Set the weight of the last batch norm of every heatmap head."""
    for module in network.modules():
        if isinstance(module, HeatmapHead):
            nn.init.constant_(module.predict.norm.weight, gain)
