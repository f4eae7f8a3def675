"""The Pose Refine Machine (PRM): attention over keypoints and positions, after a heatmap head."""

from typing import Literal

import torch
from torch import Tensor, nn

from rsn.models.layers import ConvNormReLU

# Which heads have a PRM. The authors' code defines it and never calls it; their paper draws it after the last head.
# MMPose has one after every head of every stage.
Refine = Literal["none", "last", "all"]


class PoseRefineMachine(nn.Module):
    """Heatmaps -> refined heatmaps: a 3x3 convolution, weighted by keypoint and by position.

    out = o * (1 + channel attention * spatial attention), RSN paper, section 3.2. The published code has a ReLU before
    both sigmoids, so attention lies in [0.5, 1) and refined heatmaps are never negative.

    Args:
        num_keypoints: K.
        shared_spatial_attention: one map of spatial attention for all keypoints (MMPose) instead of one per keypoint
            (the authors).

    Shapes: (N, K, h, w) -> (N, K, h, w). In training N must be at least 2: the channel attention is normalized over
    the batch.
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
        """Whether all keypoints share one map of spatial attention."""
        return len(self.spatial) == 3

    def set_shared_spatial_attention(self, shared: bool) -> None:
        """Add or remove the last layer of the spatial attention, which reduces it to one map."""
        if shared and not self.shared_spatial_attention:
            like = next(self.transform.parameters())
            added = ConvNormReLU(len(like), 1).to(like.device, like.dtype)
            self.spatial.append(added.train(self.training))
        elif self.shared_spatial_attention and not shared:
            del self.spatial[2]

    def forward(self, heatmaps: Tensor) -> Tensor:
        out: Tensor = self.transform(heatmaps)
        channel_attention = torch.sigmoid(self.channel(out.mean((-2, -1), keepdim=True)))
        spatial_attention = torch.sigmoid(self.spatial(out))
        return out * (1 + channel_attention * spatial_attention)


def build_prm(refine: Refine, num_keypoints: int, *, last: bool) -> nn.Module:
    """The PRM after one head, or an identity; `last`: whether it is the last head of the last stage."""
    if refine == "all":
        return PoseRefineMachine(num_keypoints, shared_spatial_attention=True)
    if refine == "last" and last:
        return PoseRefineMachine(num_keypoints, shared_spatial_attention=False)
    return nn.Identity()
