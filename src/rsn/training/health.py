"""Checks that stop a run early: batch norms without statistics, a loss that is not finite, unreadable images."""

import warnings
from copy import deepcopy
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from rsn.data.annotations import PoseDataset
from rsn.data.loading import NO_SUBSTITUTE, Batch
from rsn.errors import RecipeError, RsnWarning, TrainingError
from rsn.training.checkpoints import checkpoint_folder, last_checkpoint
from rsn.training.module import TrainingModule, compute_predictions
from rsn.training.recipe import OptimizationConfig

MAX_LISTED = 10


class NanGuard(Callback):
    """Stops a run whose loss is not finite, before weights or checkpoints are written.

    The losses are read every `interval` batches only, since reading makes a GPU wait; all of them are checked.
    """

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self.finite: Tensor | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        finite = torch.isfinite(outputs["loss"])
        self.finite = finite if self.finite is None else self.finite & finite
        if (batch_idx + 1) % self.interval == 0:
            self.on_train_epoch_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.finite is not None and not bool(self.finite):
            assert isinstance(pl_module, TrainingModule)
            advice = _advice(trainer, pl_module.optimization)
            raise TrainingError(f"the loss is not finite before step {trainer.global_step}; {advice}")


def _advice(trainer: Trainer, optimization: OptimizationConfig) -> str:
    """How to continue after a loss that is not finite."""
    checkpoint = last_checkpoint(checkpoint_folder(trainer))
    precision = "" if trainer.precision == "32-true" else " --set compute.precision=32-true"
    settings = f"--set optimization.learning_rate={optimization.learning_rate / 10:.1g}"
    if optimization.optimizer == "muon":
        settings += f" --set optimization.muon_learning_rate={optimization.muon_learning_rate / 10:.1g}"
    settings += precision
    if checkpoint is None:
        return f"there is no checkpoint yet: start again with {settings}"
    return f"{checkpoint} is from before that: continue with --resume {settings}"


def check_network(network: nn.Module, crops: int, input_size: tuple[int, int]) -> tuple[int, ...] | None:
    """Check that batch norms get more than one value per channel, which one crop of 32x32 does not give them.

    A copy of the network without values is run, which costs nothing.

    Args:
        network: takes normalized crops. crops: how many a batch norm sees together. input_size: (height, width).

    Returns:
        The shape of the finest level of the last stage; None for networks that cannot run without values.

    Raises:
        RecipeError: a batch norm would get one value per channel.
    """
    try:
        trial = deepcopy(network).to("meta").train()
        finest = compute_predictions(trial, torch.empty(crops, 3, *input_size, device="meta"))[-1][-1]
    except (NotImplementedError, RuntimeError):
        return None
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        height, width = input_size
        raise RecipeError(
            f"a batch norm would get one value per channel from {crops} crop of {height}x{width}; raise"
            " optimization.batch_size, lower compute.accumulate_grad_batches, or raise input_size"
        ) from error
    return tuple(finest.shape) if isinstance(finest, Tensor) else None


class UnreadableImages(Callback):
    """Counts images that cannot be read; other people replace those in them.

    max_fraction: share of all images above which the run stops.
    """

    def __init__(self, people: PoseDataset, max_fraction: float) -> None:
        self.paths = tuple(str(person.image.path) for person in people.people)
        self.max_fraction = max_fraction
        self.found: set[str] = set()
        self.images = len(set(self.paths))

    def add(self, batch: Batch) -> None:
        """Count those of a batch, see `CropDataset`.

        Raises:
            TrainingError: more than `max_fraction` of all images cannot be read.
        """
        unreadable = batch["unreadable"]
        self.found.update(self.paths[number] for number in unreadable[unreadable != NO_SUBSTITUTE].tolist())
        if len(self.found) > self.max_fraction * self.images:
            raise TrainingError(f"{self.summary()}; max_unreadable_fraction allows a share of {self.max_fraction:g}")

    def summary(self) -> str:
        """One line: how many, and the first of them."""
        names = sorted(self.found)
        more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
        return f"{len(names)} of {self.images} images cannot be read: {', '.join(names[:MAX_LISTED])}{more}"

    def state_dict(self) -> dict[str, Any]:
        return {"found": sorted(self.found)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.found.update(state_dict["found"])

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.found:
            warnings.warn(self.summary(), RsnWarning, stacklevel=1)  # 2 is Lightning, whose warnings are hidden
