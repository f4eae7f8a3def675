"""Training: the loss, the recipe, and the loop that carries them (which needs the `train` extra)."""

from rsn.training import losses

__all__ = ["losses"]
