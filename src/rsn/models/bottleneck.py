"""The bottleneck block of MSPN and of RSN's plain baseline."""

from torch import Tensor, nn

from rsn.models.layers import ConvNorm, ConvNormReLU


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride) and 1x1 convolution, and a shortcut: ResNet's block as in MSPN's public code.

    Shapes: (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, in_channels: int, out_channels: int, *, width: int, stride: int = 1) -> None:
        super().__init__()
        self.reduce = ConvNormReLU(in_channels, width)
        self.middle = ConvNormReLU(width, width, 3, stride=stride)
        self.expand = ConvNorm(width, out_channels)
        changes_shape = stride != 1 or in_channels != out_channels
        self.shortcut = ConvNorm(in_channels, out_channels, stride=stride) if changes_shape else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.expand(self.middle(self.reduce(x)))
        out = (out + self.shortcut(x)).relu_()
        return out


def bottleneck(in_channels: int, channels: int, *, stride: int = 1) -> Bottleneck:
    """The block of MSPN: four times as many channels outside as inside (expansion 4)."""
    return Bottleneck(in_channels, 4 * channels, width=channels, stride=stride)


def plain_bottleneck(in_channels: int, channels: int, *, stride: int = 1) -> Bottleneck:
    """The block of the Res-18 baseline: the same number of channels everywhere (expansion 1)."""
    return Bottleneck(in_channels, channels, width=channels, stride=stride)
