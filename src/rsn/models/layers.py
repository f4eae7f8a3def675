"""The two layers that everything else is built of: convolution + batch norm, with and without ReLU."""

from torch import Tensor, nn


class ConvNorm(nn.Module):
    """Convolution and batch norm, size kept up to the stride.

    The convolution has no bias: the batch norm that follows would cancel it (the reference code keeps one on
    every convolution; `rsn.load_weights` folds it into the running mean).

    Shapes: (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 1, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.conv(x))
        return out


class ConvNormReLU(ConvNorm):
    """`ConvNorm` followed by ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).relu_()
