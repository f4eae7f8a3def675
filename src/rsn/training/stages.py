"""The change from one stage of a run to the next, whose crops have another size."""

from collections.abc import Callable, Sequence

from lightning import Callback, LightningModule, Trainer
from torch import nn

from rsn.data.loading import Interval
from rsn.training.callbacks import AveragedWeights
from rsn.training.module import TrainingModule

# Adapts a network from one input size (height, width) to another.
Rescale = Callable[[nn.Module, tuple[int, int], tuple[int, int]], object]


class StageChange(Callback):
    """Adapts the trained and the averaged network to the size of the crops of each interval.

    A checkpoint is written before the change, so a run that is resumed there makes it, too. rescale: None for networks
    whose outputs do not depend on the size.
    """

    def __init__(
        self, intervals: Sequence[Interval], rescale: Rescale | None, averaged: AveragedWeights | None
    ) -> None:
        self.intervals = intervals
        self.rescale = rescale
        self.averaged = averaged

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        number = trainer.current_epoch
        before, now = (self.intervals[index].size for index in (max(number - 1, 0), number))
        pl_module.input_size = now
        if before == now or self.rescale is None:
            return
        for network in (pl_module.network, *([self.averaged.network] if self.averaged else [])):
            self.rescale(network, before, now)
