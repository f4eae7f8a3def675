"""Batch norm over the crops of all processes together, for CPU processes too, where PyTorch has none."""

from typing import Any

import torch
import torch.distributed as distributed
from torch import Tensor, nn


def synchronise_norms(network: nn.Module) -> nn.Module:
    """The network with its batch norms taking their statistics of all processes' crops, the weights kept.

    On CUDA these are PyTorch's own; elsewhere `SyncedBatchNorm2d`, which gives the same numbers.
    """
    if torch.cuda.is_available():
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return converted
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SyncedBatchNorm2d  # the same state, another forward
    return network


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose mean and variance are those of all processes, each of which has equally many crops.

    Shapes: (N, C, H, W) -> the same. As in PyTorch's, what comes in half precision is reckoned in that of the weights.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not distributed.is_initialized():
            return super().forward(x)
        values = x.to(self.weight.dtype)
        mean = _over_processes(values.mean((0, 2, 3)))
        centred = values - mean[:, None, None]
        variance = _over_processes(centred.square().mean((0, 2, 3)))
        if self.track_running_stats:
            self._remember(mean.detach(), variance.detach(), x.numel() // len(mean))
        scaled = centred * (variance + self.eps).rsqrt()[:, None, None]
        return (scaled * self.weight[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        count *= distributed.get_world_size()
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)


def _over_processes(value: Tensor) -> Tensor:
    """The mean over the processes; gradients flow back to all of them."""
    total: Tensor = _Sum.apply(value)  # type: ignore[no-untyped-call]
    return total / distributed.get_world_size()


class _Sum(torch.autograd.Function):
    """The sum over the processes, whose gradient is the sum of what each of them answers."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        total = value.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total
