"""The Pose Refine Machine (PRM): attention over joints and places, at the very end of a network."""

from typing import Literal

import torch
from torch import Tensor, nn

from rsn.networks.layers import ConvNormReLU

# Where the machine stands. The authors' code defines it and never calls it; their paper draws it after the last
# output. MMPose puts one after every output of every stage.
Refine = Literal["none", "last", "all"]


class PoseRefine(nn.Module):
    """Heatmaps -> better heatmaps: a 3x3 convolution, weighted joint by joint and place by place.

    out = o * (1 + channel attention * spatial attention), RSN paper, section 3.2. The published code has a ReLU
    before either sigmoid, so that attention lies in [0.5, 1) and refined heatmaps are never negative.

    Args:
        num_joints: K.
        one_map: the places' attention is one map for all joints (MMPose) instead of one a joint (the authors').

    Shapes: (N, K, h, w) -> (N, K, h, w). In training N must be at least 2: the channel branch normalises over it.
    """

    def __init__(self, num_joints: int, *, one_map: bool) -> None:
        super().__init__()
        self.transform = ConvNormReLU(num_joints, num_joints, 3)
        self.channel = nn.Sequential(
            ConvNormReLU(num_joints, num_joints), ConvNormReLU(num_joints, num_joints)
        )
        self.spatial = nn.Sequential(
            ConvNormReLU(num_joints, num_joints), ConvNormReLU(num_joints, num_joints, 9, groups=num_joints)
        )
        self.set_one_map(one_map)

    @property
    def one_map(self) -> bool:
        """Whether the places' attention is one map for all joints."""
        return len(self.spatial) == 3

    def set_one_map(self, one_map: bool) -> None:
        """Wire the places' attention in the other of the two published ways; its last layer comes or goes."""
        if one_map and not self.one_map:
            like = self.transform.conv.weight
            added = ConvNormReLU(len(like), 1).to(like.device, like.dtype)
            self.spatial.append(added.train(self.training))
        elif self.one_map and not one_map:
            del self.spatial[2]

    def forward(self, heatmaps: Tensor) -> Tensor:
        out: Tensor = self.transform(heatmaps)
        joints = torch.sigmoid(self.channel(out.mean((-2, -1), keepdim=True)))
        places = torch.sigmoid(self.spatial(out))
        return out * (1 + joints * places)


def build_refine(refine: Refine, num_joints: int, *, last: bool) -> nn.Module:
    """What stands after one head: `last` says whether it is the last head of the last stage."""
    if refine == "all":
        return PoseRefine(num_joints, one_map=True)
    if refine == "last" and last:
        return PoseRefine(num_joints, one_map=False)
    return nn.Identity()
