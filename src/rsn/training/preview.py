"""An image of what a recipe trains on: augmented crops, each beside its finest target heatmaps."""

import numpy as np

from rsn.codecs import Codec
from rsn.data.loading import Batch, CropDataset, SampleIndex
from rsn.geometry import Image
from rsn.results import EMPTY, Person
from rsn.skeletons import Skeleton
from rsn.training.recipe import Recipe
from rsn.training.run import concat_people, read_people, training_sets
from rsn.training.samples import tile_images
from rsn.visualization.drawing import draw_heatmaps, draw_people

COLUMNS = 6


def draw_preview(recipe: Recipe, *, people: int, seed: int) -> Image:
    """Crops of randomly chosen people as the network gets them: a grid of pairs, six per row.

    Left in each pair are the keypoints, without absent ones, and right the finest target heatmaps.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        RecipeError, AnnotationError, ImageError: data that the recipe names cannot be read.
    """
    dataset = concat_people(training_sets(recipe, read_people(recipe.validation).skeleton))
    crops = CropDataset(dataset, recipe.input_size, recipe.augmentation, seed=seed)
    chosen = np.random.default_rng(seed).permutation(len(dataset))[:people]
    pairs = [_pair(crops[SampleIndex(0, int(person))], dataset.skeleton, recipe.codec) for person in chosen]
    return tile_images(pairs, COLUMNS)


def _pair(crop: Batch, skeleton: Skeleton, codec: Codec) -> Image:
    pixels = np.ascontiguousarray(crop["image"].permute(1, 2, 0).numpy())
    size = (pixels.shape[0], pixels.shape[1])
    targets = codec.encode(crop["keypoints"][None], crop["visibility"][None], size)
    visible = (crop["visibility"] > 0).double().numpy()
    person = Person.from_keypoints(np.zeros(4), crop["keypoints"].numpy(), visible + EMPTY)
    return np.hstack([draw_people(pixels, [person], skeleton), draw_heatmaps(pixels, targets[0, -1].numpy())])
