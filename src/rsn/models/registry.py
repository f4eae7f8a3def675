"""Models that a program adds to the catalog; adding one imports nothing."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

Builder = Callable[..., "nn.Module"]  # (num_keypoints, **options) -> network

ADDED: dict[str, Builder] = {}


def register_model(name: str, builder: Builder) -> None:
    """Make a model known by its name, for recipes and for weights that are loaded; a name can be replaced.

    Args:
        name: the weights files that are saved of the model contain it.
        builder: builder(num_keypoints, **options) -> `torch.nn.Module`, randomly initialized. Its forward maps
            normalized crops (N, 3, H, W) to one tensor, which the codec decodes. Optional methods: `heatmaps(x)`, all
            outputs that a loss compares, as a list per stage of a list per level; `remove_training_parts()`,
            called on a copy that is used for inference; `checkpoint_activations()`, see the recipe's setting.
    """
    ADDED[name] = builder
