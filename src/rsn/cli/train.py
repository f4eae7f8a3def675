"""rsn train: a recipe from start to finish."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rsn.cli.overrides import Overrides, flatten_overrides
from rsn.cli.progress import info


@dataclass(frozen=True)
class Train:
    """Train a network as a recipe says; logs, weights and checkpoints land in the recipe's output folder.

    On several GPUs: torchrun --nproc-per-node 8 -m rsn train RECIPE, or srun on a SLURM cluster.
    """

    recipe: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE")]
    """A YAML file, such as those in recipes/."""
    set: Overrides = ()
    """Settings to change, with dots to reach inside: optimization.steps=100."""
    batch_size: int | None = None
    """Train in batches of this size instead, with learning rate and steps scaled by the linear rule."""
    resume: bool = False
    """Go on from the last checkpoint in the output folder."""

    def run(self) -> int:
        """Exit status 0; what is wrong is raised."""
        from rsn.extras import require

        require("lightning", "pydantic", "hotcoco", extra="train", feature="training")
        from rsn.training.recipe import read_recipe
        from rsn.training.run import train

        recipe = read_recipe(self.recipe, flatten_overrides(self.set))
        if self.batch_size is not None:
            recipe = recipe.with_batch_size(self.batch_size)
        best = train(recipe, resume=self.resume)
        info(f"the best weights are {best}")
        return 0
