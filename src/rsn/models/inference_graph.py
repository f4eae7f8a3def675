"""The network as it is used once it is trained: the same answers for less work."""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from rsn.models.layers import ConvNorm
from rsn.models.network import PoseNetwork
from rsn.models.stages import Stage
from rsn.weights.metadata import ModelMetadata


class InferenceGraph(nn.Module):
    """Crops -> heatmaps as one graph, normalization included: what backends run and exports hold.

    Equal to the trained network in eval mode up to rounding. Batch norms are folded into the convolutions before
    them, and the heads that only training looks at are gone. (In eval mode the network itself already mixes
    channels before it resizes, see `stages.UpsamplingLevel`.) Branches stay 26 and 52 channels wide: padded with zeros to 32
    and 64 they are no faster, which `benchmarks/branch_widths.py` measures.

    Input: (N, 3, H, W) uint8 RGB, H and W multiples of 32. Output: (N, K, H/4, W/4) float32.

    Args:
        network: which is copied, on its device, and stays as it is.
        metadata: of its weights; has the mean and std.
    """

    outputs: tuple[str, ...] = ("heatmaps",)  # the names of what it answers, in their order

    def __init__(self, network: PoseNetwork, metadata: ModelMetadata) -> None:
        super().__init__()
        self.metadata = metadata
        self.network = deepcopy(network).eval().requires_grad_(False)
        for module in self.network.modules():
            if isinstance(module, ConvNorm):
                module.conv = fuse_conv_bn_eval(module.conv, module.norm)
                module.norm = nn.Identity()  # type: ignore[assignment]
        stages = [module for module in self.network.stages if isinstance(module, Stage)]
        for stage in stages[:-1]:
            stage.heads = nn.ModuleList()
        stages[-1].heads = stages[-1].heads[-1:]
        self.eval()

    def example(self) -> Tensor:
        """Crops as `forward` takes them, two of them, black: what it is traced with."""
        return torch.zeros(2, 3, *self.metadata.input_size, dtype=torch.uint8)

    def forward(self, crops: Tensor) -> Tensor:
        inputs = self.metadata.normalize(crops).to(self.network.stem.reduce.conv.weight.dtype)
        maps: Tensor = self.network(inputs)
        return maps.float()
