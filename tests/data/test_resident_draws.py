"""The crops cut on the device are spread as those from files are: where keypoints lie, what they show, in which colors.

That the same draw gives the same crop is tested in test_resident.py; here each way draws for itself.
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
DRAWS = 600
BOUND = (
    4.0  # standard errors; of 129 means and 129 variances the farthest is at 2.5, and at 5.1 with no flipping
)


@pytest.fixture(scope="module")
def people(people_json: Path, tmp_path_factory: pytest.TempPathFactory) -> PoseDataset:
    """The drawn metrics, in images whose colors differ and change from left to right."""
    folder = shutil.copytree(people_json.parent, tmp_path_factory.mktemp("colored") / "people")
    for path in (folder / "images").iterdir():
        image = cv2.imread(str(path)).astype(np.float32)
        shade = np.linspace(0.1, 1.0, image.shape[1])[:, None] * (0.4, 0.7, 1.0)  # blue, green, red
        cv2.imwrite(str(path), (image * shade).astype(np.uint8))
    return read_coco(folder / people_json.name, folder / "images")


def draws(people: PoseDataset) -> list[SampleIndex]:
    return [SampleIndex(*divmod(number, len(people))) for number in range(DRAWS)]


def measured(keypoints: Tensor, visibility: Tensor, images: Tensor) -> Tensor:
    """(N, M) numbers of each crop: places and visibility of keypoints, colors of the crop and of squares in it."""
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
    batch = default_collate([crops[draw] for draw in draws(people)])
    return measured(batch["keypoints"], batch["visibility"], batch["image"])


def on_the_device(people: PoseDataset, augmentation: Augmentation, *, mistaken: bool = False) -> Tensor:
    """Draws with another seed. mistaken: red and blue are exchanged."""
    images = DeviceImages([person.image.path for person in people.people], torch.device("cpu"))
    if mistaken:
        images.pixels = images.pixels.flip(1)
    plans = CropDataset(people, SIZE, augmentation, image_indices=images.indices, seed=2)
    batch = default_collate([plans[draw] for draw in draws(people)])
    return measured(batch["keypoints"], batch["visibility"], images.crop(batch, SIZE))


def farthest(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference of a mean or a variance, in standard errors."""
    middle = torch.cat([ours, theirs]).mean(0)
    differences = []
    for a, b in ((ours, theirs), ((ours - middle) ** 2, (theirs - middle) ** 2)):
        error = ((a.var(0) + b.var(0)) / DRAWS).sqrt()
        differences.append(((a.mean(0) - b.mean(0)) / error.clamp(min=1e-9)).abs().max())
    return float(max(differences))


def test_crops_are_spread_as_those_from_files(people: PoseDataset, from_files: Tensor) -> None:
    assert farthest(on_the_device(people, STRONG), from_files) < BOUND


@pytest.mark.parametrize(
    "other",
    [{}, {"color_jitter": 0.1}, {"flip_probability": 0.0}, {"rotation_probability": 0.0}],
    ids=str,
)
def test_what_draws_otherwise_would_be_seen(people: PoseDataset, from_files: Tensor, other: dict) -> None:
    wrong = on_the_device(people, replace(STRONG, **other), mistaken=not other)
    assert farthest(wrong, from_files) > BOUND
