"""The network of RSN and MSPN: a stem and a sequence of stages."""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from rsn.models.prm import Refine
from rsn.models.stages import BlockFactory, DownsamplingPath, Stage, Stem


class PoseNetwork(nn.Module):
    """Crops -> heatmaps; RSN and MSPN are both this class with different blocks.

    Input: (N, 3, H, W) RGB, normalized with the mean and std of the metadata; H and W multiples of 32.

    Args:
        num_keypoints: K, the number of heatmaps.
        block: builds the blocks of the downsampling path, such as `residual_steps` or `bottleneck`.
        blocks_per_layer: number of blocks in each of the four layers of a downsampling path.
        num_stages: number of stages; each refines the features that the one before passes to it.
        expansion: output channels of a block divided by its `channels`; it belongs to the block.
        up_channels: channels of the upsampling path.
        refine: which heads have a Pose Refine Machine, see `rsn.models.prm`.
    """

    def __init__(
        self,
        num_keypoints: int,
        *,
        block: BlockFactory,
        blocks_per_layer: Sequence[int],
        num_stages: int = 1,
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
        for path in self._downsampling_paths():
            _init_downsampling(path)

    def forward(self, x: Tensor) -> Tensor:
        """The heatmaps of the last stage's finest level, (N, K, H/4, W/4). No other head is computed."""
        for stage, up_features in self._run_stages(x):
            last, finest = stage, up_features[-1]
        out: Tensor = last.heads[-1](finest, (finest.shape[-2], finest.shape[-1]))
        return out

    def heatmaps(self, x: Tensor) -> list[list[Tensor]]:
        """All heatmaps, which the loss compares: per stage the levels, coarse to fine, each (N, K, H/4, W/4)."""
        return [stage.heatmaps(up_features) for stage, up_features in self._run_stages(x)]

    def checkpoint_activations(self) -> None:
        """Train with less memory from now on: blocks are computed again in the backward pass, a third more work.

        Losses, gradients and statistics stay the same.
        """
        for path in self._downsampling_paths():
            path.activation_checkpointing = True

    def remove_training_parts(self) -> None:
        """Remove the heads that `forward` does not use; `heatmaps` does not work afterwards."""
        stages = [stage for stage in self.stages if isinstance(stage, Stage)]
        for stage in stages[:-1]:
            stage.heads = nn.ModuleList()
        stages[-1].heads = stages[-1].heads[-1:]

    def _downsampling_paths(self) -> Iterator[DownsamplingPath]:
        return (module for module in self.modules() if isinstance(module, DownsamplingPath))

    def _run_stages(self, x: Tensor) -> Iterator[tuple[Stage, list[Tensor]]]:
        if x.shape[-2] % 32 or x.shape[-1] % 32:
            raise ValueError(
                f"Invalid input size: expected height and width to be multiples of 32, got {x.shape[-2]}x{x.shape[-1]}"
            )
        x = self.stem(x)
        skips: Sequence[Tensor] = ()
        for stage in self.stages:
            assert isinstance(stage, Stage)
            up_features, passed_on = stage(x, skips)
            yield stage, up_features
            if passed_on is not None:
                x, skips = passed_on.start, passed_on.skips


def _init_downsampling(path: DownsamplingPath) -> None:
    """Kaiming initialization in the downsampling path; the rest keeps PyTorch's defaults, as in the reference."""
    for module in path.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
