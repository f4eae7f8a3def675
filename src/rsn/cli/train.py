"""rsn train: train a pose network or a person detector from a recipe."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rsn.cli.overrides import Overrides, flatten_overrides
from rsn.cli.progress import info


@dataclass(frozen=True)
class Train:
    """Train a pose network or a person detector from a recipe.

    Logs, weights and checkpoints are written to the recipe's output folder.

    With several GPUs: torchrun --nproc-per-node 8 -m rsn train RECIPE, or srun on a SLURM cluster.
    """

    recipe: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE")]
    """A YAML file such as those in recipes/."""
    set: Overrides = ()
    """Settings of the recipe to change; dots reach nested ones: optimization.steps=100, train.0.images=coco."""
    batch_size: int | None = None
    """Batch size; learning rate and number of steps are scaled by the linear scaling rule."""
    resume: bool = False
    """Continue from the last checkpoint in the output folder."""

    def run(self) -> int:
        """Train, and print the path of the best weights."""
        from rsn.extras import require

        require("lightning", "hotcoco", extra="train", feature="training")
        from rsn.training.detection import DetectorRecipe, read_any_recipe, train_detector
        from rsn.training.run import train

        recipe = read_any_recipe(self.recipe, flatten_overrides(self.set))
        if self.batch_size is not None:
            recipe = recipe.with_batch_size(self.batch_size)
        if isinstance(recipe, DetectorRecipe):
            best = train_detector(recipe, resume=self.resume)
        else:
            best = train(recipe, resume=self.resume)
        info(f"wrote {best}")
        return 0
