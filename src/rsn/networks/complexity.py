"""How large a network is and how much it computes, without computing anything."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from rsn.networks.catalog import create_model
from rsn.networks.refine import Refine


@dataclass(frozen=True)
class Complexity:
    """parameters, and multiply_adds of one crop; convolutions only, as the papers count."""

    parameters: int
    multiply_adds: int

    def at(self, size: tuple[int, int]) -> "Complexity":
        """What was measured at 256x192, for an input of (height, width): convolutions cost what their area does."""
        return replace(self, multiply_adds=self.multiply_adds * size[0] * size[1] // (256 * 192))


# What `complexity` measures at 256x192 with 17 joints; measuring all of them takes half a minute.
MEASURED: dict[str, Complexity] = {
    "rsn18": Complexity(9_144_936, 2_245_441_536),
    "rsn50": Complexity(19_328_584, 4_067_801_088),
    "rsn101": Complexity(39_556_136, 7_940_315_136),
    "2xrsn50": Complexity(39_261_904, 8_215_031_808),
    "3xrsn50": Complexity(59_195_224, 12_362_262_528),
    "4xrsn50": Complexity(79_128_544, 16_509_493_248),
    "4xrsn18": Complexity(38_393_952, 9_220_055_040),
    "rsn50-wide": Complexity(34_414_120, 6_330_937_344),
    "rsn101-wide": Complexity(61_964_456, 11_605_143_552),
    "2xrsn50-wide": Complexity(75_404_176, 13_779_394_560),
    "3xrsn50-wide": Complexity(116_394_232, 21_227_851_776),
    "4xrsn50-wide": Complexity(157_384_288, 28_676_308_992),
    "mspn50": Complexity(25_112_264, 5_072_646_144),
    "2xmspn50": Complexity(56_800_464, 11_262_812_160),
    "3xmspn50": Complexity(88_488_664, 17_452_978_176),
    "4xmspn50": Complexity(120_176_864, 23_643_144_192),
    "res18": Complexity(8_549_320, 2_065_330_176),
}


def complexity(
    name: str, size: tuple[int, int] = (256, 192), *, num_joints: int = 17, refine: Refine = "none"
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
        model = create_model(name, num_joints=num_joints, refine=refine).train()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    with torch.inference_mode():
        model.heatmaps(torch.empty(2, 3, *size, device="meta"))  # batch norm wants more than one
    return Complexity(sum(parameter.numel() for parameter in model.parameters()), total // 2)
