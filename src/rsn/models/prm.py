"""The Pose Refine Machine (PRM): attention over keypoints and places, at the very end of a network."""

from typing import Literal

import torch
from torch import Tensor, nn

from rsn.models.layers import ConvNormReLU

# Where the machine stands. The authors' code defines it and never calls it; their paper draws it after the last
# output. MMPose puts one after every output of every stage.
Refine = Literal["none", "last", "all"]


class PoseRefineMachine(nn.Module):
    """Heatmaps -> better heatmaps: a 3x3 convolution, weighted keypoint by keypoint and place by place.

    out = o * (1 + channel attention * spatial attention), RSN paper, section 3.2. The published code has a ReLU
    before either sigmoid, so that attention lies in [0.5, 1) and refined heatmaps are never negative.

    Args:
        num_keypoints: K.
        shared_spatial_attention: the places' attention is one map for all keypoints (MMPose) instead of one a keypoint (the authors').

    Shapes: (N, K, h, w) -> (N, K, h, w). In training N must be at least 2: the channel branch normalizes over it.
    """

    def __init__(self, num_keypoints: int, *, shared_spatial_attention: bool) -> None:
        super().__init__()
        self.transform = ConvNormReLU(num_keypoints, num_keypoints, 3)
        self.channel = nn.Sequential(
            ConvNormReLU(num_keypoints, num_keypoints), ConvNormReLU(num_keypoints, num_keypoints)
        )
        self.spatial = nn.Sequential(
            ConvNormReLU(num_keypoints, num_keypoints),
            ConvNormReLU(num_keypoints, num_keypoints, 9, groups=num_keypoints),
        )
        self.set_shared_spatial_attention(shared_spatial_attention)

    @property
    def shared_spatial_attention(self) -> bool:
        """Whether the places' attention is one map for all keypoints."""
        return len(self.spatial) == 3

    def set_shared_spatial_attention(self, shared_spatial_attention: bool) -> None:
        """Wire the places' attention in the other of the two published ways; its last layer comes or goes."""
        if shared_spatial_attention and not self.shared_spatial_attention:
            like = self.transform.conv.weight
            added = ConvNormReLU(len(like), 1).to(like.device, like.dtype)
            self.spatial.append(added.train(self.training))
        elif self.shared_spatial_attention and not shared_spatial_attention:
            del self.spatial[2]

    def forward(self, heatmaps: Tensor) -> Tensor:
        out: Tensor = self.transform(heatmaps)
        keypoints = torch.sigmoid(self.channel(out.mean((-2, -1), keepdim=True)))
        places = torch.sigmoid(self.spatial(out))
        return out * (1 + keypoints * places)


def build_refine(refine: Refine, num_keypoints: int, *, last: bool) -> nn.Module:
    """What stands after one head: `last` says whether it is the last head of the last stage."""
    if refine == "all":
        return PoseRefineMachine(num_keypoints, shared_spatial_attention=True)
    if refine == "last" and last:
        return PoseRefineMachine(num_keypoints, shared_spatial_attention=False)
    return nn.Identity()
