"""Train the people detector as a recipe says.

Usage: python scripts/train_detector.py RECIPE [--resume] [--set KEY=VALUE ...]
"""

from pathlib import Path
from typing import Annotated

import tyro

from rsn.cli.overrides import Settings, flat
from rsn.training.detection import DetectorRecipe, train_detector
from rsn.training.recipe import read_recipe_as


def main(
    recipe: Annotated[Path, tyro.conf.Positional], /, *, resume: bool = False, set: Settings = ()
) -> None:
    """Logs, weights and the state to resume from land in the recipe's output folder.

    Args:
        recipe: a YAML file, such as recipes/detector/rsn18_256x256.yaml.
        resume: go on from the last checkpoint.
        set: settings to change, with dots to reach inside.
    """
    train_detector(read_recipe_as(DetectorRecipe, recipe, flat(set)), resume=resume)


if __name__ == "__main__":
    tyro.cli(main, config=(tyro.conf.FlagCreatePairsOff,))
