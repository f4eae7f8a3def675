"""The exponential moving average of the weights (EMA), which is often better than the last weights themselves."""

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from rsn.models.network import PoseNetwork


class AveragedWeights(WeightAveraging):
    """Lightning's average of a training network, updated after every optimizer step, with a decay that warms up.

    The average's memory grows from a few steps to that of `decay`, so that it does not keep the random weights that
    it began with. The statistics of batch norms are averaged as well.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=self._average)
        self.decay = decay

    @property
    def network(self) -> PoseNetwork:
        """The average; there is one as soon as training has begun."""
        assert self._average_model is not None
        network = self._average_model.module.network
        assert isinstance(network, PoseNetwork)
        return network

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._device = trainer.strategy.root_device  # where the module is not yet
        super().setup(trainer, pl_module, stage)
        assert self._average_model is not None
        trainer.precision_plugin.convert_module(self._average_model)
        # It is compared in every step, and a GPU would have to be waited for.
        self._average_model.n_averaged = self._average_model.n_averaged.cpu()

    def _average(self, averaged: list[Tensor], current: list[Tensor], _: object) -> None:
        step = self._latest_update_step + 1
        decay = min(self.decay, (1 + step) / (10 + step))
        get_ema_multi_avg_fn(decay)(averaged, current, 0)  # type: ignore[no-untyped-call]
