"""Every network by name, its numbers spelled out."""

from functools import partial

from rsn.errors import UnknownNameError
from rsn.models.bottleneck import bottleneck, plain_bottleneck
from rsn.models.network import PoseNetwork
from rsn.models.prm import Refine
from rsn.models.residual_steps import residual_steps, wide_residual_steps

# What the networks of a kind have in common: the blocks in each of the four layers of a stage, and which blocks.
_RSN18 = partial(PoseNetwork, block=residual_steps, blocks_per_layer=(2, 2, 2, 2))
_RSN50 = partial(PoseNetwork, block=residual_steps, blocks_per_layer=(3, 4, 6, 3))
_RSN101 = partial(PoseNetwork, block=residual_steps, blocks_per_layer=(3, 4, 23, 3))
_RSN50_WIDE = partial(PoseNetwork, block=wide_residual_steps, expansion=4, blocks_per_layer=(3, 4, 6, 3))
_RSN101_WIDE = partial(PoseNetwork, block=wide_residual_steps, expansion=4, blocks_per_layer=(3, 4, 23, 3))
_MSPN50 = partial(PoseNetwork, block=bottleneck, expansion=4, blocks_per_layer=(3, 4, 6, 3))
_RES18 = partial(PoseNetwork, block=plain_bottleneck, blocks_per_layer=(2, 2, 2, 2))

MODELS: dict[str, partial[PoseNetwork]] = {
    # The authors' own PyTorch recipe; what public checkpoints of these names hold.
    "rsn18": partial(_RSN18, num_stages=1),
    "rsn50": partial(_RSN50, num_stages=1),
    "rsn101": partial(_RSN101, num_stages=1),
    "2xrsn50": partial(_RSN50, num_stages=2),
    "3xrsn50": partial(_RSN50, num_stages=3),
    "4xrsn50": partial(_RSN50, num_stages=4),
    "4xrsn18": partial(_RSN18, num_stages=4),
    # Networks of the published complexity, which the public code never built: our reading of it.
    "rsn50-wide": partial(_RSN50_WIDE, num_stages=1),
    "rsn101-wide": partial(_RSN101_WIDE, num_stages=1),
    "2xrsn50-wide": partial(_RSN50_WIDE, num_stages=2),
    "3xrsn50-wide": partial(_RSN50_WIDE, num_stages=3),
    "4xrsn50-wide": partial(_RSN50_WIDE, num_stages=4),
    # MSPN, and RSN's plain baseline.
    "mspn50": partial(_MSPN50, num_stages=1),
    "2xmspn50": partial(_MSPN50, num_stages=2),
    "3xmspn50": partial(_MSPN50, num_stages=3),
    "4xmspn50": partial(_MSPN50, num_stages=4),
    "res18": partial(_RES18, num_stages=1),
}


def list_models() -> list[str]:
    """The names that `create_model` knows."""
    return list(MODELS)


def create_model(name: str, *, num_keypoints: int = 17, refine: Refine = "none") -> PoseNetwork:
    """A network by name, randomly initialized, in training mode.

    Args:
        name: one of `list_models()`.
        num_keypoints: K, the number of heatmaps.
        refine: "last" puts a Pose Refine Machine after the last output, as RSN's paper draws it; "all" after every
            output, as MMPose has it (its wiring, too).

    Raises:
        UnknownNameError: no model of that name; the message has the nearest ones.
    """
    if name not in MODELS:
        raise UnknownNameError("model", name, MODELS)
    return MODELS[name](num_keypoints=num_keypoints, refine=refine)
