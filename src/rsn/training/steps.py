"""Two ways to compute the loss of a batch: operation by operation, or captured once and replayed."""

from collections.abc import Callable
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

# "eager": one operation after the other.
# "captured": captured once as CUDA graphs and replayed, so that a GPU does not wait between kernels.
Step = Literal["eager", "captured"]
LossFunction = Callable[..., Tensor]  # tensors, or dicts and named tuples of them -> a scalar


class CapturedLoss:
    """`loss`, which runs `network`, captured at the first batch: forward and backward pass each as one CUDA graph.

    Every batch must have tensors of the same shapes.
    """

    def __init__(self, network: nn.Module, loss: LossFunction) -> None:
        self.module = _Loss(network, loss)
        self.replay: LossFunction | None = None

    def __call__(self, *batch: Any) -> Tensor:
        if self.replay is None:
            self.replay = self._capture(batch)
        return self.replay(*batch).clone()  # every replay writes to the same memory

    def _capture(self, batch: tuple[Any, ...]) -> LossFunction:
        buffers = list(self.module.buffers())
        before = [buffer.clone() for buffer in buffers]
        with torch.autocast(
            "cuda",
            torch.get_autocast_dtype("cuda"),
            enabled=torch.is_autocast_enabled("cuda"),
            cache_enabled=False,  # a weight that is cast during the capture is cast in every replay
        ):
            replay = torch.cuda.make_graphed_callables(self.module, batch)
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)  # the capture runs the first batch several times
        return cast(LossFunction, replay)


class _Loss(nn.Module):
    """CUDA graphs need a module that owns the parameters."""

    def __init__(self, network: nn.Module, loss: LossFunction) -> None:
        super().__init__()
        self.network = network
        self.loss = loss

    def forward(self, *batch: Any) -> Tensor:
        return self.loss(*batch)
