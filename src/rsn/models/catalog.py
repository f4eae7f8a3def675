"""The registered models: those of the papers, and those that a program adds."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from torch import nn

from rsn.errors import RsnError, UnknownNameError
from rsn.models import registry
from rsn.models.bottleneck import bottleneck, plain_bottleneck
from rsn.models.network import PoseNetwork
from rsn.models.prm import Refine
from rsn.models.registry import Builder
from rsn.models.residual_steps import residual_steps, wide_residual_steps
from rsn.models.stages import BlockFactory

_RESNET18, _RESNET50, _RESNET101 = (2, 2, 2, 2), (3, 4, 6, 3), (3, 4, 23, 3)  # blocks per layer


@dataclass(frozen=True)
class Architecture:
    """A builder of networks of RSN's and MSPN's family, see `PoseNetwork`."""

    block: BlockFactory
    blocks_per_layer: Sequence[int]
    num_stages: int = 1
    expansion: int = 1

    def __call__(self, num_keypoints: int, *, refine: Refine = "none") -> PoseNetwork:
        """A randomly initialized network.

        Raises:
            UnknownNameError: no such `refine`.
        """
        if refine not in get_args(Refine):
            raise UnknownNameError("refine", str(refine), get_args(Refine))
        return PoseNetwork(
            num_keypoints,
            block=self.block,
            blocks_per_layer=self.blocks_per_layer,
            num_stages=self.num_stages,
            expansion=self.expansion,
            refine=refine,
        )


# The catalog; its keys are the names of weights, too: rsn18.starter.
ARCHITECTURES: dict[str, Architecture] = {
    # As in the authors' PyTorch code; what public checkpoints of these names hold.
    "rsn18": Architecture(residual_steps, _RESNET18),
    "rsn50": Architecture(residual_steps, _RESNET50),
    "rsn101": Architecture(residual_steps, _RESNET101),
    "2xrsn50": Architecture(residual_steps, _RESNET50, 2),
    "3xrsn50": Architecture(residual_steps, _RESNET50, 3),
    "4xrsn50": Architecture(residual_steps, _RESNET50, 4),
    "4xrsn18": Architecture(residual_steps, _RESNET18, 4),
    # Networks of the published complexity, which the public code never built: our reading of it.
    "rsn50-wide": Architecture(wide_residual_steps, _RESNET50, 1, expansion=4),
    "rsn101-wide": Architecture(wide_residual_steps, _RESNET101, 1, expansion=4),
    "2xrsn50-wide": Architecture(wide_residual_steps, _RESNET50, 2, expansion=4),
    "3xrsn50-wide": Architecture(wide_residual_steps, _RESNET50, 3, expansion=4),
    "4xrsn50-wide": Architecture(wide_residual_steps, _RESNET50, 4, expansion=4),
    # MSPN, and RSN's plain baseline.
    "mspn50": Architecture(bottleneck, _RESNET50, 1, expansion=4),
    "2xmspn50": Architecture(bottleneck, _RESNET50, 2, expansion=4),
    "3xmspn50": Architecture(bottleneck, _RESNET50, 3, expansion=4),
    "4xmspn50": Architecture(bottleneck, _RESNET50, 4, expansion=4),
    "res18": Architecture(plain_bottleneck, _RESNET18),
}


def list_models() -> list[str]:
    """The names of all registered models."""
    return list(_builders())


def build_model(name: str, num_keypoints: int = 17, **options: Any) -> nn.Module:
    """A network by name, randomly initialized, in training mode.

    Args:
        name: one of `list_models()`.
        num_keypoints: K, the number of heatmaps.
        options: of the builder.

    Raises:
        UnknownNameError: no model of that name; the message has the nearest ones. RsnError: it has no such option.
    """
    builders = _builders()
    if name not in builders:
        raise UnknownNameError("model", name, builders)
    builder = builders[name]
    try:
        inspect.signature(builder).bind(num_keypoints, **options)
    except TypeError as error:
        raise RsnError(f"Invalid options of model {name!r}: {error}") from error
    return builder(num_keypoints, **options)


def _builders() -> dict[str, Builder]:
    return {**ARCHITECTURES, **registry.ADDED}
