"""The image of the training data of a recipe."""

from pathlib import Path

import numpy as np
import pytest

from rsn.codecs import create_codec
from rsn.data.loading import CropDataset, SampleIndex
from rsn.preview import draw_crops
from rsn.training.recipe import read_recipe
from rsn.training.run import read_people, read_training_sets
from rsn.visualization.drawing import draw_heatmaps


@pytest.mark.parametrize("codec", ["megvii", "unbiased"])
def test_preview_draws_the_targets_of_the_recipes_codec(recipe_file: Path, codec: str) -> None:
    recipe = read_recipe(recipe_file, [f"codec={codec}"])
    people, _ = read_training_sets(recipe, read_people(recipe.validation).skeleton)
    first = int(np.random.default_rng(0).permutation(len(people))[0])
    crop = CropDataset(people, recipe.input_size, recipe.augmentation, seed=0)[SampleIndex(0, first)]
    height, width = recipe.input_size
    keypoints, visibility = crop["keypoints"][None], crop["visibility"][None]
    targets = create_codec(codec).encode(keypoints, visibility, recipe.input_size)[0, -1].numpy()
    pixels = np.ascontiguousarray(crop["image"].permute(1, 2, 0).numpy())
    drawn = draw_crops(recipe, people=1, seed=0)[:height, width : 2 * width]
    np.testing.assert_array_equal(drawn, draw_heatmaps(pixels, targets))
