"""How large a network is and how much it computes, without computing anything."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rsn.networks.catalog import create_model


@dataclass(frozen=True)
class Complexity:
    """parameters, and multiply_adds of one crop; convolutions only, as the papers count."""

    parameters: int
    multiply_adds: int


def complexity(name: str, size: tuple[int, int] = (256, 192), *, num_joints: int = 17) -> Complexity:
    """Measure a network of the catalog, every head of every stage included (what training computes).

    size is the input's (height, width). Nothing is allocated: the network lives on PyTorch's meta device.
    """
    total = 0

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d)
        total += output.numel() * layer.weight[0].numel()

    with torch.device("meta"):
        model = create_model(name, num_joints=num_joints)
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(count)
        model.heatmaps(torch.empty(1, 3, *size))
    return Complexity(sum(parameter.numel() for parameter in model.parameters()), total)
