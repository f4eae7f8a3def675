"""Crops cut on the device match crops cut from files."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from rsn.data.annotations import ImageFile, PersonAnnotation, PoseDataset
from rsn.data.augment import Augmentation
from rsn.data.coco import read_coco
from rsn.data.device_images import DeviceImages
from rsn.data.loading import NO_SUBSTITUTE, CropDataset, Interval, SampleIndex, ShuffledBatches
from rsn.errors import ImageError
from rsn.geometry import Crop
from rsn.skeletons import COCO_17

CPU = torch.device("cpu")
SIZE = (64, 96)
STRONG = Augmentation(color_jitter=0.3)


@pytest.fixture(scope="module")
def people(people_json: Path) -> PoseDataset:
    return read_coco(people_json, people_json.parent / "images")


def paths(people: PoseDataset) -> list[Path]:
    return [person.image.path for person in people.people]


def test_device_crops_match_crops_from_files(people: PoseDataset) -> None:
    images = DeviceImages(paths(people), CPU)
    batches = ShuffledBatches([1.0] * len(people), [Interval(8, SIZE)], 3, seed=1)
    files = DataLoader(CropDataset(people, SIZE, STRONG, seed=1), batch_sampler=batches)
    device_crops = DataLoader(
        CropDataset(people, SIZE, STRONG, image_indices=images.indices, seed=1), batch_sampler=batches
    )
    for from_file, params in zip(files, device_crops, strict=True):
        for name in ("keypoints", "visibility", "unreadable"):
            assert torch.equal(params[name], from_file[name])
        difference = (images.crop(params, SIZE).int() - from_file["image"].int()).abs()
        # Some positions are rounded to the next 1/32 pixel, which shows at the edges of the drawn figures.
        assert difference.float().mean() < 0.05
        assert (difference > 16).float().mean() < 1e-4


def test_downscaled_images_give_the_same_crop(tmp_path: Path) -> None:
    columns, rows = np.meshgrid(np.arange(2048), np.arange(1536))
    slopes = np.stack([columns // 9, rows // 7, (columns + rows) // 15], -1).astype(np.uint8)
    image = tmp_path / "large.jpg"
    cv2.imwrite(str(image), slopes, [cv2.IMWRITE_JPEG_QUALITY, 98])
    box = np.array([500.0, 100.0, 900.0, 1300.0])
    person = PersonAnnotation(
        ImageFile(0, image), box, np.tile(box[:2] + 300, (17, 1)).astype(np.float32), np.full(17, 2)
    )
    people = PoseDataset(COCO_17, (person,))
    images = DeviceImages([image], CPU)
    crops = CropDataset(people, SIZE, Augmentation())
    device_crops = CropDataset(people, SIZE, Augmentation(), image_indices=images.indices)
    for epoch in range(4):
        sample = SampleIndex(epoch, 0)
        assert crops._augment(sample)[0].crop.scale < 1 / 6
        params = torch.utils.data.default_collate([device_crops[sample]])
        inside = images.crop(params, SIZE)[0].int()
        difference = (crops[sample]["image"].int() - inside).abs()
        assert (difference > 2).float().mean() < 0.02, "all but the edge of the image"


def test_warp_is_exact_for_whole_shifts_and_black_outside(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), image[..., ::-1])
    images = DeviceImages([tmp_path / "noise.png"], CPU)
    matrix = np.array([[1.0, 0.0, 5.0], [0.0, 1.0, -4.0]])
    cut = images.warp(torch.tensor([0]), torch.from_numpy(matrix)[None], (32, 32))
    expected = Crop(matrix, (32, 32)).warp(image)
    assert np.array_equal(cut[0].permute(1, 2, 0).numpy(), expected)


def test_unreadable_images_get_a_substitute(people: PoseDataset) -> None:
    readable = DeviceImages(paths(people)[2:], CPU)  # the first two people are in the first image
    device_crops = CropDataset(people, SIZE, Augmentation(), image_indices=readable.indices)
    assert device_crops[SampleIndex(0, 1)]["unreadable"] == 1
    assert device_crops[SampleIndex(0, 2)]["unreadable"] == NO_SUBSTITUTE
    with pytest.raises(ImageError, match="none of the images"):
        DeviceImages([Path("nowhere.png")], CPU)
