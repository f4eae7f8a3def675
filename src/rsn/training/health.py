"""What stops a run before it wastes a night: a loss that is no number, too many images that cannot be read."""

import warnings
from copy import deepcopy
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from rsn.data.annotations import PoseDataset
from rsn.data.loading import READ
from rsn.errors import RecipeError, RsnWarning, TrainingError
from rsn.models.network import PoseNetwork
from rsn.training.checkpoints import folder_of, last_state

NAMED_AT_MOST = 10


class NanGuard(Callback):
    """Stops a run whose loss is not finite, before a round's weights and state are written.

    The loss is looked at every `every` batches only, since looking makes a GPU wait; none is missed.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.finite: Tensor | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        finite = torch.isfinite(outputs["loss"])
        self.finite = finite if self.finite is None else self.finite & finite
        if (batch_idx + 1) % self.every == 0:
            self._check(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._check(trainer)

    def _check(self, trainer: Trainer) -> None:
        if self.finite is not None and not bool(self.finite):
            raise TrainingError(
                f"the loss stopped being a finite number before step {trainer.global_step}; {_what_to_do(trainer)}"
            )


def _what_to_do(trainer: Trainer) -> str:
    """After a loss that is no number: a resume from a state that is there, or another start."""
    state = last_state(folder_of(trainer))
    (rate,) = {group["initial_lr"] for group in trainer.optimizers[0].param_groups}
    precision = "" if trainer.precision == "32-true" else " --set compute.precision=32-true"
    settings = f"--set optimization.learning_rate={rate / 10:.1g}{precision}"
    if state is None:
        return f"no round was finished, so there is nothing to resume from: start again with {settings}"
    return f"{state} has the state of the last good round: go on with --resume {settings}"


def check_batch_norms(network: PoseNetwork, crops: int, input_size: tuple[int, int]) -> None:
    """Refuse what a batch norm cannot take statistics of: one value a channel, as of one crop of 32x32.

    Args:
        network: any; a copy without numbers is run, which costs nothing.
        crops: that its batch norms see together. input_size: (height, width).

    Raises:
        RecipeError: some batch norm would see one value a channel.
    """
    trial = deepcopy(network).to("meta").train()
    try:
        trial.heatmaps(torch.empty(crops, 3, *input_size, device="meta"))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        height, width = input_size
        raise RecipeError(
            f"a batch norm would see one value a channel with {crops} crop of {height}x{width} at a time, and cannot"
            " work: raise optimization.batch_size, lower compute.accumulate_grad_batches, or raise input_size"
        ) from error


class UnreadableImages:
    """The images that turned out to be unreadable; other people stand in for those in them."""

    def __init__(self, people: PoseDataset, most: float) -> None:
        self.paths = tuple(str(person.image.path) for person in people.people)
        self.most = most
        self.found: set[str] = set()
        self.images = len(set(self.paths))

    def note(self, unreadable: Tensor) -> None:
        """Take down a batch's `unreadable`, see `CropDataset`.

        Raises:
            TrainingError: more than the share `most` of all images cannot be read.
        """
        self.found.update(self.paths[number] for number in unreadable[unreadable != READ].tolist())
        if len(self.found) > self.most * self.images:
            raise TrainingError(
                f"{self.summary()}; that is more than max_unreadable_fraction allows ({self.most:g})"
            )

    def summary(self) -> str:
        """One line: how many, and the first of them."""
        names = sorted(self.found)
        more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
        return (
            f"{len(names)} of {self.images} images cannot be read: {', '.join(names[:NAMED_AT_MOST])}{more}"
        )

    def tell(self) -> None:
        """Say at the end what was left out, if anything was."""
        if self.found:
            warnings.warn(self.summary(), RsnWarning, stacklevel=2)
