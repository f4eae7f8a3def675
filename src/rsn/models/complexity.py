"""How large a network is and how much it computes, without computing anything."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from rsn.models.catalog import create_model
from rsn.models.prm import Refine
from rsn.weights.published import read_table


@dataclass(frozen=True)
class Complexity:
    """parameters, and multiply_adds of one crop; convolutions only, as the papers count."""

    parameters: int
    multiply_adds: int

    def at(self, size: tuple[int, int]) -> "Complexity":
        """What was measured at 256x192, for an input of (height, width): convolutions cost what their area does."""
        return replace(self, multiply_adds=self.multiply_adds * size[0] * size[1] // (256 * 192))


# What `complexity` measures at 256x192 with 17 keypoints, stored because measuring all networks takes half a minute.
MEASURED = {
    row["model"]: Complexity(int(row["parameters"]), int(row["multiply_adds"]))
    for row in read_table("complexity")
}


def complexity(
    name: str, size: tuple[int, int] = (256, 192), *, num_keypoints: int = 17, refine: Refine = "none"
) -> Complexity:
    """Measure a network of the catalog, every head of every stage included (what training computes).

    size is the input's (height, width). Nothing is allocated: the network lives on PyTorch's meta device.
    """
    total = 0

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d)
        total += output.numel() * layer.weight[0].numel()

    with torch.device("meta"):
        model = create_model(name, num_keypoints=num_keypoints, refine=refine).train()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    with torch.inference_mode():
        model.heatmaps(torch.empty(2, 3, *size, device="meta"))  # batch norm wants more than one
    return Complexity(sum(parameter.numel() for parameter in model.parameters()), total // 2)
