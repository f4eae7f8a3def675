"""The whole network: a stem and a row of stages."""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from rsn.models.prm import Refine
from rsn.models.stages import BlockFactory, DownsamplingPath, Stage, Stem


class PoseNetwork(nn.Module):
    """Crops -> heatmaps; RSN and MSPN are both this class with another block.

    Input: (N, 3, H, W) RGB, normalized with the mean and std of the weights' metadata; H and W multiples of 32.

    Args:
        block: builds the blocks of the way down, such as `residual_steps` or `bottleneck`.
        blocks_per_layer: blocks in each of the four layers of a stage's way down.
        num_stages: stages in a row, each of which refines what the one before handed over.
        num_keypoints: K, the number of heatmaps.
        expansion: output channels of a block in units of its `channels`; goes with the block.
        up_channels: width of the way up.
        refine: where Pose Refine Machines stand, see `rsn.models.prm`.
    """

    def __init__(
        self,
        *,
        block: BlockFactory,
        blocks_per_layer: Sequence[int],
        num_stages: int,
        num_keypoints: int,
        expansion: int = 1,
        up_channels: int = 256,
        refine: Refine = "none",
    ) -> None:
        super().__init__()
        self.num_keypoints = num_keypoints
        self.stem = Stem()
        self.stages = nn.ModuleList(
            Stage(
                block,
                blocks_per_layer,
                expansion,
                up_channels=up_channels,
                num_keypoints=num_keypoints,
                refine=refine,
                last=number == num_stages - 1,
            )
            for number in range(num_stages)
        )
        for down in (module for module in self.modules() if isinstance(module, DownsamplingPath)):
            _init_downsampling(down)

    def forward(self, x: Tensor) -> Tensor:
        """The answer: the last stage's finest heatmaps, (N, K, H/4, W/4). No other head is computed."""
        for stage, up_features in self._run_branch(x):
            last, finest = stage, up_features[-1]
        out: Tensor = last.heads[-1](finest, (finest.shape[-2], finest.shape[-1]))
        return out

    def heatmaps(self, x: Tensor) -> list[list[Tensor]]:
        """What training looks at: for each stage its levels, coarse to fine, each (N, K, H/4, W/4)."""
        return [stage.heatmaps(up_features) for stage, up_features in self._run_branch(x)]

    def checkpoint_activations(self) -> None:
        """From now on train with less memory: blocks are computed again in the backward pass, a third more work.

        Losses, gradients and statistics stay what they are.
        """
        for module in self.modules():
            if isinstance(module, DownsamplingPath):
                module.activation_checkpointing = True

    def _run_branch(self, x: Tensor) -> Iterator[tuple[Stage, list[Tensor]]]:
        if x.shape[-2] % 32 or x.shape[-1] % 32:
            raise ValueError(
                f"input is {x.shape[-2]}x{x.shape[-1]}; height and width must be multiples of 32"
            )
        x = self.stem(x)
        skips: Sequence[Tensor] = ()
        for stage in self.stages:
            assert isinstance(stage, Stage)
            up_features, handover = stage(x, skips)
            yield stage, up_features
            if handover is not None:
                x, skips = handover.start, handover.skips


def _init_downsampling(down: DownsamplingPath) -> None:
    """Kaiming initialization for the way down; the rest keeps PyTorch's defaults, as in the reference code."""
    for module in down.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
