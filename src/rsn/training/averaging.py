"""The exponential moving average of the weights (EMA), which is often better than the last weights themselves."""

from copy import deepcopy
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from rsn.networks.network import PoseNetwork


class AveragedWeights(Callback):
    """Keeps `network`, the average of a training network, up to date after every optimizer step.

    The average's memory grows from a few steps to that of `decay`, so that it does not hold on to the random
    weights it began with. Batch norms' statistics are averaged as well.
    """

    def __init__(self, network: PoseNetwork, decay: float) -> None:
        self.network = deepcopy(network).requires_grad_(False)
        self.decay = decay
        self.updated = 0
        self.pairs: tuple[list[Tensor], list[Tensor]] | None = None  # collected once; they change in place

    def state_dict(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "updated": self.updated}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.network.load_state_dict(state_dict["network"])
        self.updated = state_dict["updated"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.network.to(pl_module.device)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.updated:  # a part of a batch, after which no step is made yet
            return
        self.updated = trainer.global_step
        decay = min(self.decay, (1 + self.updated) / (10 + self.updated))
        network = pl_module.network
        assert isinstance(network, PoseNetwork)
        if self.pairs is None:
            self.pairs = (_numbers(self.network), _numbers(network))
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        average(*self.pairs, 0)


def _numbers(network: PoseNetwork) -> list[Tensor]:
    """Parameters and statistics, without the counts of batches."""
    return [value.detach() for value in network.state_dict().values() if value.is_floating_point()]
