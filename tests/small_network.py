"""The smallest network of the catalog's kind, for tests that have it compiled."""

from rsn.models.bottleneck import bottleneck
from rsn.models.network import PoseNetwork


def small_network(num_keypoints: int, *, stages: int = 1) -> PoseNetwork:
    """Stages of one bottleneck a layer, with random weights; one stage goes by the name of mspn50 in a metadata."""
    return PoseNetwork(
        block=bottleneck,
        blocks_per_layer=(1, 1, 1, 1),
        num_stages=stages,
        num_keypoints=num_keypoints,
        expansion=4,
        up_channels=8,
    )
