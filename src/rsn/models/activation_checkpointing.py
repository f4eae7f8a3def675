"""Activation checkpointing that updates the statistics of batch norms only once."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def run_checkpointed(module: nn.Module, x: Tensor) -> Tensor:
    """module(x); only x is stored, and the rest is computed again in the backward pass.

    Batch norms update their running statistics in the forward pass only, so the step has the same result as without.
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _frozen_statistics(module)

    out: Tensor = checkpoint(module, x, use_reentrant=False, context_fn=contexts, preserve_rng_state=False)
    return out


@contextmanager
def _frozen_statistics(module: nn.Module) -> Iterator[None]:
    norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
