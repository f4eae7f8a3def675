"""The size of a network and its number of operations, without computing anything."""

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Complexity:
    """parameters, and multiply_adds per crop; of convolutions only, as the papers count."""

    parameters: int
    multiply_adds: int

    def at(self, size: tuple[int, int]) -> "Complexity":
        """What was measured at 256x192, for an input of (height, width): operations grow with the area."""
        return replace(self, multiply_adds=self.multiply_adds * size[0] * size[1] // (256 * 192))


def complexity(name: str, size: tuple[int, int] = (256, 192), *, num_keypoints: int = 17, **options: Any) -> Complexity:
    """Measure a registered model with every head of every stage, as training computes it.

    size: (height, width) of the input. Nothing is allocated: the network is on PyTorch's meta device.
    """
    import torch
    from torch import Tensor, nn

    from rsn.models.catalog import build_model

    total = 0

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d)
        total += output.numel() * layer.weight[0].numel()

    with torch.device("meta"):
        model = build_model(name, num_keypoints, **options).train()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    with torch.inference_mode():
        run = getattr(model, "heatmaps", model)
        run(torch.empty(2, 3, *size, device="meta"))  # batch norm needs more than one
    return Complexity(sum(parameter.numel() for parameter in model.parameters()), total // 2)
