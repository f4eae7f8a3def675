"""Batch norm over all processes: PyTorch's, where there is one process."""

from collections.abc import Iterator
from copy import deepcopy

import pytest
import torch
import torch.distributed as distributed
from torch import Tensor, nn

from rsn.training.synchronised import SyncedBatchNorm2d, synchronise_norms


@pytest.fixture
def _joined() -> Iterator[None]:
    """A group of this one process."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def outcome(norm: nn.Module, x: Tensor) -> list[Tensor]:
    """The answer, what x and the weights are taught by it, and the statistics that stay."""
    x = x.clone().requires_grad_()
    y = norm(x)
    (y.float().square() * torch.arange(x.shape[-1])).sum().backward()
    assert x.grad is not None
    return [y.detach(), x.grad, *(value.grad for value in norm.parameters()), *norm.buffers()]


@pytest.mark.usefixtures("_joined")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_batch_norm_in_any_precision(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    plain = nn.BatchNorm2d(5)
    nn.init.uniform_(plain.weight, 0.5, 1.5)
    nn.init.uniform_(plain.bias, -1, 1)
    synced = deepcopy(plain)
    synced.__class__ = SyncedBatchNorm2d
    x = (3 * torch.randn(4, 5, 6, 7) + 1).to(dtype)
    loose = {"rtol": 2e-2, "atol": 5e-2} if dtype == torch.bfloat16 else {"rtol": 1e-4, "atol": 1e-3}
    for found, expected in zip(outcome(synced, x), outcome(plain, x), strict=True):
        assert found.dtype == expected.dtype
        torch.testing.assert_close(found, expected, **loose)


def test_every_norm_is_synchronised_and_keeps_its_weights() -> None:
    network = nn.Sequential(nn.Conv2d(3, 5, 1), nn.BatchNorm2d(5), nn.Sequential(nn.BatchNorm2d(5)))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    synced = synchronise_norms(network)
    kinds = (SyncedBatchNorm2d, nn.SyncBatchNorm)
    assert sum(isinstance(module, kinds) for module in synced.modules()) == 2
    torch.testing.assert_close(dict(synced.state_dict()), before, rtol=0, atol=0)
