"""Crops cut on the device have the same distribution as those from files: keypoints, visibility and colors.

The two use different seeds; test_device_images.py compares crops with the same seed.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d
from torch.utils.data import default_collate

from rsn.data.annotations import PoseDataset
from rsn.data.augment import Augmentation
from rsn.data.coco import read_coco
from rsn.data.device_images import DeviceImages
from rsn.data.loading import CropDataset, SampleIndex

SIZE = (32, 48)
STRONG = Augmentation(color_jitter=0.3)
SAMPLES = 600
# In standard errors; of 129 means and 129 variances the largest difference is 2.5, and 5.1 without flips.
BOUND = 4.0


@pytest.fixture(scope="module")
def people(people_json: Path, tmp_path_factory: pytest.TempPathFactory) -> PoseDataset:
    """The drawn figures, in images whose colors differ and change from left to right."""
    folder = shutil.copytree(people_json.parent, tmp_path_factory.mktemp("colored") / "people")
    for path in (folder / "images").iterdir():
        image = cv2.imread(str(path)).astype(np.float32)
        shade = np.linspace(0.1, 1.0, image.shape[1])[:, None] * (0.4, 0.7, 1.0)  # blue, green, red
        cv2.imwrite(str(path), (image * shade).astype(np.uint8))
    return read_coco(folder / people_json.name, folder / "images")


def samples(people: PoseDataset) -> list[SampleIndex]:
    return [SampleIndex(*divmod(number, len(people))) for number in range(SAMPLES)]


def measured(keypoints: Tensor, visibility: Tensor, images: Tensor) -> Tensor:
    """(N, M) numbers of each crop: positions and visibility of keypoints, colors of the crop and of squares in it."""
    image = images.double()
    parts = (
        keypoints,
        visibility,
        image.mean((2, 3)),
        image.std((2, 3)),
        avg_pool2d(image, 8),
    )
    return torch.cat([part.flatten(1).double() for part in parts], 1)


@pytest.fixture(scope="module")
def from_files(people: PoseDataset) -> Tensor:
    crops = CropDataset(people, SIZE, STRONG, seed=1)
    batch = default_collate([crops[sample] for sample in samples(people)])
    return measured(batch["keypoints"], batch["visibility"], batch["image"])


def from_device(people: PoseDataset, augmentation: Augmentation, *, swap_colors: bool = False) -> Tensor:
    """Crops with another seed. swap_colors: exchange red and blue."""
    images = DeviceImages([person.image.path for person in people.people], torch.device("cpu"))
    if swap_colors:
        images.pixels = images.pixels.flip(1)
    device_crops = CropDataset(people, SIZE, augmentation, image_indices=images.indices, seed=2)
    batch = default_collate([device_crops[sample] for sample in samples(people)])
    return measured(batch["keypoints"], batch["visibility"], images.crop(batch, SIZE))


def largest_difference(first: Tensor, second: Tensor) -> float:
    """The largest difference of a mean or a variance, in standard errors."""
    mean = torch.cat([first, second]).mean(0)
    differences = []
    for a, b in ((first, second), ((first - mean) ** 2, (second - mean) ** 2)):
        error = ((a.var(0) + b.var(0)) / SAMPLES).sqrt()
        differences.append(((a.mean(0) - b.mean(0)) / error.clamp(min=1e-9)).abs().max())
    return float(max(differences))


def test_device_crops_have_the_distribution_of_crops_from_files(people: PoseDataset, from_files: Tensor) -> None:
    assert largest_difference(from_device(people, STRONG), from_files) < BOUND


@pytest.mark.parametrize(
    "other",
    [{}, {"color_jitter": 0.1}, {"flip_probability": 0.0}, {"rotation_probability": 0.0}],
    ids=str,
)
def test_other_augmentations_are_detected(people: PoseDataset, from_files: Tensor, other: dict) -> None:
    wrong = from_device(people, replace(STRONG, **other), swap_colors=not other)
    assert largest_difference(wrong, from_files) > BOUND
