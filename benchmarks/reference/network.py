"""The network as the reference runs it: the same weights, all operations and all heads.

Every convolution has a bias although a batch norm follows; features are resized before they are mixed; every head of
every stage is computed, also where only the last is looked at.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from rsn.models.network import PoseNetwork
from rsn.models.stages import UpsamplingLevel, resize


class ReferenceNetwork(nn.Module):
    """Crops, normalized, (N, 3, H, W) -> stages of levels of heatmaps, each (N, K, H/4, W/4)."""

    def __init__(self, network: PoseNetwork) -> None:
        super().__init__()
        self.network = deepcopy(network)
        for module in self.network.modules():
            if isinstance(module, nn.Conv2d):
                module.bias = nn.Parameter(torch.zeros(module.out_channels))
            if isinstance(module, UpsamplingLevel):
                module._upsampled = _resized_first  # type: ignore[method-assign]

    def forward(self, inputs: Tensor) -> list[list[Tensor]]:
        return self.network.heatmaps(inputs)


def _resized_first(mix: nn.Module, coarser: Tensor, size: tuple[int, int]) -> Tensor:
    out: Tensor = mix(resize(coarser, size))
    return out
