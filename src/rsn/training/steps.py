"""Two ways to compute the loss of a batch: operation by operation, or recorded once and replayed."""

from collections.abc import Callable
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

# "eager": one operation after the other.
# "captured": recorded once as CUDA graphs and replayed, so that no time passes between the kernels of a GPU.
Step = Literal["eager", "captured"]
LossOf = Callable[..., Tensor]  # tensors, or dicts and named tuples of them -> a scalar


def build_loss_function(step: Step, network: nn.Module, loss_of: LossOf) -> LossOf:
    """`loss_of`, which asks `network`, computed in this way; always called with tensors of the same shapes."""
    return _CapturedLoss(network, loss_of) if step == "captured" else loss_of


class _CapturedLoss:
    """Recorded at the first batch, forward and backward pass each as one CUDA graph."""

    def __init__(self, network: nn.Module, loss_of: LossOf) -> None:
        self.network = network
        self.loss_of = loss_of
        self.replay: LossOf | None = None

    def __call__(self, *batch: Any) -> Tensor:
        if self.replay is None:
            self.replay = self._recorded(batch)
        return self.replay(*batch).clone()  # the graph writes every loss to one place

    def _recorded(self, batch: tuple[Any, ...]) -> LossOf:
        buffers = list(self.network.buffers())
        before = [buffer.clone() for buffer in buffers]
        with torch.autocast(
            "cuda",
            torch.get_autocast_dtype("cuda"),
            enabled=torch.is_autocast_enabled("cuda"),
            cache_enabled=False,  # a weight that is cast while recording is cast in every replay
        ):
            replay = torch.cuda.make_graphed_callables(_Loss(self.network, self.loss_of), batch)
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)  # batch norms have seen the first batch several times meanwhile
        return cast(LossOf, replay)


class _Loss(nn.Module):
    """What is recorded has to be a module that owns the parameters."""

    def __init__(self, network: nn.Module, loss_of: LossOf) -> None:
        super().__init__()
        self.network = network
        self.loss_of = loss_of

    def forward(self, *batch: Any) -> Tensor:
        return self.loss_of(*batch)
