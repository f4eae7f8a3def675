"""The residual steps block, from which RSN has its name."""

import torch
from torch import Tensor, nn

from rsn.models.layers import ConvNorm, ConvNormReLU

NUM_BRANCHES = 4


class ResidualStepsBlock(nn.Module):
    """Four branches of one, two, three and four 3x3 convolutions ("steps"), connected from branch to branch.

    The input is split into one part per branch. Branch i has i steps. The input of its step j is the output of its own
    step j - 1 (its part of the input for j = 1) plus the output of step j of branch i - 1, so that receptive fields of
    neighboring sizes are mixed inside one block (RSN paper, section 3.1, figure 2). The last outputs of all branches
    are concatenated, merged by a 1x1 convolution and added to the shortcut.

    The first 1x1 convolution has the stride, as in the authors' PyTorch code. `width`: channels of a branch.

    Shapes: (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, in_channels: int, out_channels: int, *, width: int, stride: int = 1) -> None:
        super().__init__()
        self.width = width
        self.split = ConvNormReLU(in_channels, NUM_BRANCHES * width, stride=stride)
        self.steps = nn.ModuleList(
            nn.ModuleList(ConvNormReLU(width, width, 3) for _ in range(branch + 1)) for branch in range(NUM_BRANCHES)
        )
        self.merge = ConvNorm(NUM_BRANCHES * width, out_channels)
        changes_shape = stride != 1 or in_channels != out_channels
        self.shortcut = ConvNorm(in_channels, out_channels, stride=stride) if changes_shape else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        branch_outputs: list[Tensor] = []
        previous_branch: list[Tensor] = []
        for part, steps in zip(self.split(x).split(self.width, dim=1), self.steps, strict=True):
            previous_branch = self._run_branch(part, steps, previous_branch)
            branch_outputs.append(previous_branch[-1])
        out: Tensor = (self.merge(torch.cat(branch_outputs, dim=1)) + self.shortcut(x)).relu_()
        return out

    @staticmethod
    def _run_branch(x: Tensor, steps: nn.Module, previous_branch: list[Tensor]) -> list[Tensor]:
        """The outputs of all steps of a branch."""
        outputs = []
        for number, step in enumerate(steps.children()):
            x = step(x + previous_branch[number] if number < len(previous_branch) else x)
            outputs.append(x)
        return outputs


def residual_steps(in_channels: int, channels: int, *, stride: int = 1) -> ResidualStepsBlock:
    """The block of the authors' PyTorch code: a branch has 26/64 of the *input* channels (expansion 1)."""
    return ResidualStepsBlock(in_channels, channels, width=in_channels * 26 // 64, stride=stride)


def wide_residual_steps(in_channels: int, channels: int, *, stride: int = 1) -> ResidualStepsBlock:
    """A block of the complexity that the papers' tables state (expansion 4).

    No public code defines it. This is our reading: it brings RSN-50, RSN-101 and the multi-stage networks within
    three percent of their published multiply-adds.
    """
    return ResidualStepsBlock(in_channels, 4 * channels, width=channels * 24 // 64, stride=stride)
