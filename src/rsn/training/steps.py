"""Two ways to compute the loss of a batch: operation by operation, or captured once and replayed."""

from collections.abc import Callable
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

# "eager": one operation after the other.
# "captured": captured once as CUDA graphs and replayed, so that a GPU does not wait between kernels.
Step = Literal["eager", "captured"]
LossFunction = Callable[..., Tensor]  # tensors, or dicts and named tuples of them -> a scalar


class CapturedLoss:
    """`loss`, which runs `network`, captured at the first batch: forward and backward pass each as one CUDA graph.

    It is captured again when a batch has tensors of other shapes than the batch before.
    """

    def __init__(self, network: nn.Module, loss: LossFunction) -> None:
        self.network = network
        self.loss = loss
        self.replay: LossFunction | None = None
        self.shapes: list[torch.Size] = []

    def __call__(self, *batch: Any) -> Tensor:
        shapes = [leaf.shape for leaf in tree_leaves(batch) if isinstance(leaf, Tensor)]
        if self.replay is None or shapes != self.shapes:
            self.replay = None  # frees the memory of the graphs
            self.replay, self.shapes = self._capture(batch), shapes
        return self.replay(*batch).clone()  # every replay writes to the same memory

    def _capture(self, batch: tuple[Any, ...]) -> LossFunction:
        module = _Loss(self.network, self.loss)
        buffers = list(module.buffers())
        before = [buffer.clone() for buffer in buffers]
        with torch.autocast(
            "cuda",
            torch.get_autocast_dtype("cuda"),
            enabled=torch.is_autocast_enabled("cuda"),
            cache_enabled=False,  # a weight that is cast during the capture is cast in every replay
        ):
            replay = torch.cuda.make_graphed_callables(module, batch)
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
