"""Every network by name, its numbers spelled out."""

from collections.abc import Callable

from rsn.errors import UnknownNameError
from rsn.networks.network import PoseNetwork
from rsn.networks.residual_steps import ResidualStepsBlock


def rsn18(num_joints: int) -> PoseNetwork:
    return PoseNetwork(
        block=ResidualStepsBlock, blocks_per_layer=(2, 2, 2, 2), num_stages=1, num_joints=num_joints
    )


def rsn50(num_joints: int) -> PoseNetwork:
    return PoseNetwork(
        block=ResidualStepsBlock, blocks_per_layer=(3, 4, 6, 3), num_stages=1, num_joints=num_joints
    )


def rsn50_2x(num_joints: int) -> PoseNetwork:
    return PoseNetwork(
        block=ResidualStepsBlock, blocks_per_layer=(3, 4, 6, 3), num_stages=2, num_joints=num_joints
    )


MODELS: dict[str, Callable[[int], PoseNetwork]] = {
    "rsn18": rsn18,
    "rsn50": rsn50,
    "2xrsn50": rsn50_2x,
}


def list_models() -> list[str]:
    """The names that `create_model` knows."""
    return list(MODELS)


def create_model(name: str, *, num_joints: int = 17) -> PoseNetwork:
    """A network by name, randomly initialised, in training mode.

    Args:
        name: one of `list_models()`.
        num_joints: K, the number of heatmaps.

    Raises:
        UnknownNameError: no model of that name; the message has the nearest ones.
    """
    if name not in MODELS:
        raise UnknownNameError("model", name, MODELS)
    return MODELS[name](num_joints)
