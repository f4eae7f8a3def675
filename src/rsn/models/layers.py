"""The two layers that the networks are built of: convolution and batch norm, with and without ReLU."""

from collections import OrderedDict

from torch import Tensor, nn


class ConvNorm(nn.Sequential):
    """Convolution and batch norm; the size changes by the stride only.

    The convolution has no bias: the batch norm that follows would cancel it. (The reference has one in every
    convolution; `rsn.load_weights` folds it into the running mean.)

    Shapes: (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)).
    """

    conv: nn.Conv2d
    norm: nn.BatchNorm2d

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 1, *, stride: int = 1, groups: int = 1
    ) -> None:
        conv = nn.Conv2d(
            in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
        )
        super().__init__(OrderedDict(conv=conv, norm=nn.BatchNorm2d(out_channels)))


class ConvNormReLU(ConvNorm):
    """`ConvNorm` followed by ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return out.relu_()
