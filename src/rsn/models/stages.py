"""One stage: a downsampling path of four layers, an upsampling path of four levels, a heatmap head on every level.

Levels are counted from coarse to fine: level 0 has 1/32 of the input's size, level 3 has 1/4. The cross-stage features
that a stage passes to the next one have the same order; the downsampling path adds them in reverse.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn
from torch.nn.functional import interpolate

from rsn.models.activation_checkpointing import run_checkpointed
from rsn.models.layers import ConvNorm, ConvNormReLU
from rsn.models.prm import Refine, build_prm

STEM_CHANNELS = 64
NUM_LEVELS = 4
LAYER_CHANNELS = (64, 128, 256, 512)


class BlockFactory(Protocol):
    """Builds a block with `channels` times an expansion output channels; the expansion belongs to the factory."""

    def __call__(self, in_channels: int, channels: int, *, stride: int = 1) -> nn.Module: ...


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize with aligned corners, as everywhere in the reference. (N, C, h, w) -> (N, C, *size)."""
    if x.shape[-2:] == size:
        return x
    return interpolate(x, size=size, mode="bilinear", align_corners=True)


def _size(x: Tensor) -> tuple[int, int]:
    return (x.shape[-2], x.shape[-1])


@dataclass(frozen=True)
class CrossStageFeatures:
    """What a stage passes to the next one.

    start: (N, 64, H/4, W/4), which replaces the output of the stem.
    skips: one feature map per level, coarse to fine, which the next stage adds in its downsampling path (MSPN paper,
        section 3.2, cross-stage feature aggregation).
    """

    start: Tensor
    skips: Sequence[Tensor]


class Stem(nn.Module):
    """7x7 convolution of stride 2 and max pooling. (N, 3, H, W) RGB, normalized -> (N, 64, H/4, W/4)."""

    def __init__(self) -> None:
        super().__init__()
        self.reduce = ConvNormReLU(3, STEM_CHANNELS, 7, stride=2)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.pool(self.reduce(x))
        return out


class DownsamplingPath(nn.Module):
    """Four layers of blocks with strides 1, 2, 2, 2; the skips of the previous stage are added after each layer.

    With `activation_checkpointing` only the inputs of the blocks are stored in a training step.
    """

    def __init__(self, block: BlockFactory, blocks_per_layer: Sequence[int], expansion: int) -> None:
        super().__init__()
        self.activation_checkpointing = False
        self.layers = nn.ModuleList()
        in_channels = STEM_CHANNELS
        for layer, (channels, count) in enumerate(zip(LAYER_CHANNELS, blocks_per_layer, strict=True)):
            blocks = [block(in_channels, channels, stride=1 if layer == 0 else 2)]
            in_channels = channels * expansion
            blocks += [block(in_channels, channels) for _ in range(count - 1)]
            self.layers.append(nn.Sequential(*blocks))

    def forward(self, x: Tensor, skips: Sequence[Tensor]) -> list[Tensor]:
        """(N, 64, H/4, W/4) and the skips (empty in the first stage) -> four feature maps, coarse to fine."""
        checkpointing = self.activation_checkpointing and self.training
        features: list[Tensor] = []
        for number, layer in enumerate(self.layers):
            for block in layer.children():
                x = run_checkpointed(block, x) if checkpointing else block(x)
            if skips:
                x = x + skips[NUM_LEVELS - 1 - number]
            features.insert(0, x)
        return features


class UpsamplingLevel(nn.Module):
    """One level of the upsampling path: the feature map of the downsampling path plus the coarser level."""

    def __init__(self, down_channels: int, channels: int, *, coarsest: bool) -> None:
        super().__init__()
        self.lateral = ConvNorm(down_channels, channels)
        self.from_coarser = None if coarsest else ConvNorm(channels, channels)

    def forward(self, down: Tensor, coarser: Tensor | None) -> Tensor:
        out: Tensor = self.lateral(down)
        if self.from_coarser is not None and coarser is not None:
            out = out + self._upsample(self.from_coarser, coarser, _size(down))
        return out.relu_()

    def _upsample(self, conv: nn.Module, coarser: Tensor, size: tuple[int, int]) -> Tensor:
        """Resize and convolve. In eval mode the 1x1 convolution comes first: a quarter of the work, the same result.

        In training the batch norm takes its statistics from the resized map.
        """
        out: Tensor = conv(resize(coarser, size)) if self.training else resize(conv(coarser), size)
        return out


class HeatmapHead(nn.Module):
    """The features of a level -> heatmaps of a given size. The norm of `predict` scales each keypoint's heatmap."""

    def __init__(self, channels: int, num_keypoints: int, refine: nn.Module) -> None:
        super().__init__()
        self.mix = ConvNormReLU(channels, channels)
        self.predict = ConvNorm(channels, num_keypoints, 3)
        self.refine = refine

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        out: Tensor = self.refine(resize(self.predict(self.mix(x)), size))
        return out


class CrossStageLevel(nn.Module):
    """Both feature maps of a level -> the skip that the next stage adds on that level."""

    def __init__(self, down_channels: int, up_channels: int) -> None:
        super().__init__()
        self.from_down = ConvNormReLU(down_channels, down_channels)
        self.from_up = ConvNormReLU(up_channels, down_channels)

    def forward(self, down: Tensor, up: Tensor) -> Tensor:
        out: Tensor = self.from_down(down) + self.from_up(up)
        return out


class Stage(nn.Module):
    """Downsampling path, upsampling path and heads; all stages but the last have cross-stage features."""

    def __init__(
        self,
        block: BlockFactory,
        blocks_per_layer: Sequence[int],
        expansion: int,
        *,
        up_channels: int,
        num_keypoints: int,
        refine: Refine,
        last: bool,
    ) -> None:
        super().__init__()
        widths = [channels * expansion for channels in reversed(LAYER_CHANNELS)]
        self.down = DownsamplingPath(block, blocks_per_layer, expansion)
        self.up = nn.ModuleList(
            UpsamplingLevel(width, up_channels, coarsest=level == 0) for level, width in enumerate(widths)
        )
        self.heads = nn.ModuleList(
            HeatmapHead(
                up_channels,
                num_keypoints,
                build_prm(refine, num_keypoints, last=last and level == NUM_LEVELS - 1),
            )
            for level in range(NUM_LEVELS)
        )
        self.skips = nn.ModuleList(() if last else (CrossStageLevel(width, up_channels) for width in widths))
        self.start_next = None if last else ConvNormReLU(up_channels, STEM_CHANNELS)

    def forward(self, x: Tensor, skips: Sequence[Tensor]) -> tuple[list[Tensor], CrossStageFeatures | None]:
        """(N, 64, H/4, W/4) and the skips -> (four upsampled features, coarse to fine; features for the next stage)."""
        down_features = self.down(x, skips)
        up_features: list[Tensor] = []
        for down, level in zip(down_features, self.up, strict=True):
            up_features.append(level(down, up_features[-1] if up_features else None))
        if self.start_next is None:
            return up_features, None
        new_skips = [level(down, up) for level, down, up in zip(self.skips, down_features, up_features, strict=True)]
        return up_features, CrossStageFeatures(self.start_next(up_features[-1]), new_skips)

    def heatmaps(self, up_features: Sequence[Tensor]) -> list[Tensor]:
        """Upsampled features -> heatmaps of every level, coarse to fine, all in the finest level's size."""
        size = _size(up_features[-1])
        return [head(up, size) for head, up in zip(self.heads, up_features, strict=True)]
