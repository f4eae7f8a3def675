"""Train the person detector with a recipe.

Usage: python scripts/train_detector.py RECIPE [--resume] [--set KEY=VALUE ...]
"""

from pathlib import Path
from typing import Annotated

import tyro

from rsn.cli.overrides import Overrides, flatten_overrides
from rsn.training.detection import DetectorRecipe, train_detector
from rsn.training.recipe import read_recipe_as


def main(recipe: Annotated[Path, tyro.conf.Positional], /, *, resume: bool = False, set: Overrides = ()) -> None:
    """Write logs, weights and checkpoints to the recipe's output folder.

    Args:
        recipe: a YAML file, such as recipes/detector/rsn18_256x256.yaml.
        resume: continue from the last checkpoint.
        set: settings to change; dots reach nested settings.
    """
    train_detector(read_recipe_as(DetectorRecipe, recipe, flatten_overrides(set)), resume=resume)


if __name__ == "__main__":
    tyro.cli(main, config=(tyro.conf.FlagCreatePairsOff,))
