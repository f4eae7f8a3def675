"""The residual-steps block: the idea that gives RSN its name."""

import torch
from torch import Tensor, nn

from rsn.models.layers import ConvNorm, ConvNormReLU

NUM_BRANCHES = 4


class ResidualStepsBlock(nn.Module):
    """Four branches that walk one, two, three and four 3x3 steps, each step fed by the branch above it.

    Branch i takes i steps. The input of its step j is its own previous step (the branch's chunk for j = 1) plus
    step j of branch i - 1, so that neighbouring receptive fields mix inside one block (RSN paper, section 3.1,
    figure 2). The last steps of all branches are concatenated, merged by a 1x1 convolution and added to the
    shortcut.

    The stride sits in the first 1x1 convolution, as in the authors' PyTorch code. `width` is a branch's.

    Shapes: (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, in_channels: int, out_channels: int, *, width: int, stride: int = 1) -> None:
        super().__init__()
        self.width = width
        self.split = ConvNormReLU(in_channels, NUM_BRANCHES * self.width, stride=stride)
        self.steps = nn.ModuleList(
            nn.ModuleList(ConvNormReLU(self.width, self.width, 3) for _ in range(branch + 1))
            for branch in range(NUM_BRANCHES)
        )
        self.merge = ConvNorm(NUM_BRANCHES * self.width, out_channels)
        changes_shape = stride != 1 or in_channels != out_channels
        self.shortcut = ConvNorm(in_channels, out_channels, stride=stride) if changes_shape else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        chunks = self.split(x).split(self.width, dim=1)
        branch_outputs: list[list[Tensor]] = [[]]
        for chunk, steps in zip(chunks, self.steps, strict=True):
            branch_outputs.append(self._run_branch(chunk, steps, above=branch_outputs[-1]))
        ends = torch.cat([walk[-1] for walk in branch_outputs[1:]], dim=1)
        out: Tensor = (self.merge(ends) + self.shortcut(x)).relu_()
        return out

    @staticmethod
    def _run_branch(chunk: Tensor, steps: nn.Module, above: list[Tensor]) -> list[Tensor]:
        walk = [chunk]
        for number, step in enumerate(steps.children()):
            x = walk[-1] + above[number] if number < len(above) else walk[-1]
            walk.append(step(x))
        return walk[1:]


def residual_steps(in_channels: int, channels: int, *, stride: int = 1) -> ResidualStepsBlock:
    """The block of the authors' PyTorch code: a branch has 26/64 of the *input* channels (expansion 1)."""
    return ResidualStepsBlock(in_channels, channels, width=in_channels * 26 // 64, stride=stride)


def wide_residual_steps(in_channels: int, channels: int, *, stride: int = 1) -> ResidualStepsBlock:
    """A block of the complexity that the papers' tables state (expansion 4).

    No public code defines it. This is our reading: it brings RSN-50, RSN-101 and the multi-stage networks within
    three percent of their published multiply-adds.
    """
    return ResidualStepsBlock(in_channels, 4 * channels, width=channels * 24 // 64, stride=stride)
