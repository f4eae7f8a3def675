"""PyTorch as an engine: what is always there."""

import torch
from torch import Tensor

from rsn.inference.engines import Engine
from rsn.networks.deployment import Deployment


def torch_engine(deployment: Deployment, device: torch.device, *, bf16: bool) -> Engine:
    """Run the graph in PyTorch, operation by operation, channels last.

    Args:
        deployment: which is taken over and changed.
        device: any that PyTorch has. We could measure and test on CPUs only.
        bf16: weights and feature maps in bfloat16.
    """
    # torch offers no overload that takes a device and a memory format.
    graph = deployment.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if bf16:
        graph.network.to(torch.bfloat16)

    @torch.inference_mode()
    def engine(crops: Tensor) -> Tensor:
        maps: Tensor = graph(crops.to(device).contiguous(memory_format=torch.channels_last))
        return maps

    return engine
