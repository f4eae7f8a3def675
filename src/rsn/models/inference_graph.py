"""A trained network prepared for inference: the same results with less work."""

from copy import deepcopy
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class Preprocessing(Protocol):
    """What the graph needs of a network's metadata."""

    @property
    def input_size(self) -> tuple[int, int]: ...

    @property
    def mean(self) -> tuple[float, ...]: ...

    @property
    def std(self) -> tuple[float, ...]: ...

    def normalize(self, images: Tensor) -> Tensor: ...


class InferenceGraph(nn.Module):
    """Crops -> the network's output, normalization included: what backends run and exports contain.

    Equal to the trained network in eval mode up to rounding. In every `nn.Sequential` a batch norm that follows a
    convolution is folded into it. A network with a method `remove_training_parts` has what only training needs removed.

    Input: (N, 3, H, W) uint8 RGB. Output: (N, ...) float32, for heatmaps (N, K, H/4, W/4).

    Args:
        network: is copied, on its device, and stays unchanged.
        metadata: of its weights, with the input size, mean and std.
        any_size: whether images may have other sizes than the metadata's: any multiples of 32.
    """

    outputs: tuple[str, ...] = ("heatmaps",)  # the names of the outputs, in their order

    def __init__(self, network: nn.Module, metadata: Preprocessing, *, any_size: bool = False) -> None:
        super().__init__()
        self.any_size = any_size
        self.preprocessing = metadata
        self.network = deepcopy(network).eval().requires_grad_(False)
        remove_training_parts = getattr(self.network, "remove_training_parts", None)
        if remove_training_parts is not None:
            remove_training_parts()
        fold_batch_norms(self.network)
        self.dtype = next((tensor.dtype for tensor in self.network.parameters()), torch.float32)
        self.eval()

    def set_precision(self, dtype: torch.dtype) -> None:
        """Let the network compute in another precision; input and output stay the same."""
        self.network.to(dtype)
        self.dtype = dtype

    def example(self) -> Tensor:
        """Two black crops as `forward` takes them, for tracing; small ones if the graph takes images of any size."""
        size = (64, 96) if self.any_size else self.preprocessing.input_size
        return torch.zeros(2, 3, *size, dtype=torch.uint8)

    def extra_repr(self) -> str:
        return f"any_size={self.any_size}"

    def forward(self, crops: Tensor) -> Tensor:
        output: Tensor = self.network(self.preprocessing.normalize(crops).to(self.dtype))
        return output.float()


def fold_batch_norms(network: nn.Module) -> None:
    """Fold batch norms into the convolutions before them, in every `nn.Sequential` of a network in eval mode."""
    for sequence in network.modules():
        if not isinstance(sequence, nn.Sequential):
            continue
        for (conv_name, conv), (norm_name, norm) in pairwise(list(sequence.named_children())):
            follows = isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d | nn.SyncBatchNorm)
            if follows and norm.running_mean is not None:
                fused = fuse_conv_bn_eval(conv, norm)  # type: ignore[type-var, arg-type]
                setattr(sequence, conv_name, fused)
                setattr(sequence, norm_name, nn.Identity())
