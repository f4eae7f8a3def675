"""An image of what a recipe trains on: augmented crops, each beside its finest target heatmaps."""

import numpy as np
from numpy.typing import NDArray

from rsn.codecs import Codec
from rsn.data.loading import Batch, CropDataset, SampleIndex
from rsn.geometry import Image
from rsn.results import EMPTY, Person
from rsn.skeletons import Skeleton
from rsn.training.recipe import Recipe
from rsn.training.run import read_people, training_people
from rsn.visualization.drawing import draw_heatmaps, draw_people

COLUMNS = 6


def draw_preview(recipe: Recipe, *, people: int, seed: int) -> Image:
    """Crops of randomly chosen people as the network will see them: a grid of pairs, six a row.

    Left of each pair the keypoints (absent ones left out), right the finest target heatmaps.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        AnnotationError, ImageError: what the recipe points at cannot be read.
    """
    everyone = training_people(recipe, read_people(recipe.validation).skeleton)
    crops = CropDataset(everyone, recipe.input_size, recipe.augmentation, seed=seed)
    chosen = np.random.default_rng(seed).permutation(len(everyone))[:people]
    pairs = [_pair(crops[SampleIndex(0, int(person))], everyone.skeleton, recipe.codec) for person in chosen]
    blank = np.full_like(pairs[0], 255)
    pairs += [blank] * (-len(pairs) % COLUMNS)
    rows = [np.hstack(pairs[start : start + COLUMNS]) for start in range(0, len(pairs), COLUMNS)]
    return np.vstack(rows)


def _pair(crop: Batch, skeleton: Skeleton, codec: Codec) -> NDArray[np.uint8]:
    pixels = np.ascontiguousarray(crop["image"].permute(1, 2, 0).numpy())
    size = (pixels.shape[0], pixels.shape[1])
    targets = codec.encode(crop["keypoints"][None], crop["visibility"][None], size)
    visible = (crop["visibility"] > 0).double().numpy()
    person = Person.from_keypoints(np.zeros(4), crop["keypoints"].numpy(), visible + EMPTY)
    return np.hstack([draw_people(pixels, [person], skeleton), draw_heatmaps(pixels, targets[0, -1].numpy())])
