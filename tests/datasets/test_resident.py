"""Crops cut on the device: the ones that are cut from files."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from rsn.crops import Crop
from rsn.datasets.augment import Augmentation
from rsn.datasets.coco import read_coco
from rsn.datasets.labelled import ImageFile, LabelledPerson, PoseDataset
from rsn.datasets.loading import READ, Draw, ShuffledBatches, TrainingCrops
from rsn.datasets.resident import ResidentPictures
from rsn.errors import ImageError
from rsn.skeletons import COCO_17

CPU = torch.device("cpu")
SIZE = (64, 96)
STRONG = Augmentation(colour=0.3)


@pytest.fixture(scope="module")
def people(people_json: Path) -> PoseDataset:
    return read_coco(people_json, people_json.parent / "images")


def paths(people: PoseDataset) -> list[Path]:
    return [person.image.path for person in people.people]


def test_the_same_draws_give_the_same_crops(people: PoseDataset) -> None:
    pictures = ResidentPictures(paths(people), CPU)
    batches = ShuffledBatches(len(people), batch_size=8, steps_per_round=3, seed=1)
    files = DataLoader(TrainingCrops(people, SIZE, STRONG, seed=1), batch_sampler=batches)
    plans = DataLoader(
        TrainingCrops(people, SIZE, STRONG, numbers=pictures.numbers, seed=1), batch_sampler=batches
    )
    for from_file, plan in zip(files, plans, strict=True):
        for name in ("keypoints", "visibility", "unreadable"):
            assert torch.equal(plan[name], from_file[name])
        difference = (pictures.images(plan, SIZE).int() - from_file["image"].int()).abs()
        # OpenCV may round positions to 1/32 of a pixel, which shows at the edges of the drawn figures.
        assert difference.float().mean() < 0.3
        assert (difference > 16).float().mean() < 2e-3


def test_a_large_photo_is_decoded_small_and_cut_at_the_same_place(tmp_path: Path) -> None:
    columns, rows = np.meshgrid(np.arange(2048), np.arange(1536))
    slopes = np.stack([columns // 9, rows // 7, (columns + rows) // 15], -1).astype(np.uint8)
    photo = tmp_path / "large.jpg"
    cv2.imwrite(str(photo), slopes, [cv2.IMWRITE_JPEG_QUALITY, 98])
    box = np.array([500.0, 100.0, 900.0, 1300.0])
    someone = LabelledPerson(
        ImageFile(0, photo), box, np.tile(box[:2] + 300, (17, 1)).astype(np.float32), np.full(17, 2)
    )
    people = PoseDataset(COCO_17, (someone,))
    pictures = ResidentPictures([photo], CPU)
    crops = TrainingCrops(people, SIZE, Augmentation())
    plans = TrainingCrops(people, SIZE, Augmentation(), numbers=pictures.numbers)
    for epoch in range(4):
        draw = Draw(epoch, 0)
        assert crops._drawn(draw)[0].crop.shrink > 2
        plan = torch.utils.data.default_collate([plans[draw]])
        inside = pictures.images(plan, SIZE)[0].int()
        difference = (crops[draw]["image"].int() - inside).abs()
        assert (difference > 2).float().mean() < 0.02, "all but the edge of the photo"


def test_whole_shifts_are_exact_and_black_outside(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), image[..., ::-1])
    pictures = ResidentPictures([tmp_path / "noise.png"], CPU)
    matrix = np.array([[1.0, 0.0, 5.0], [0.0, 1.0, -4.0]])
    cut = pictures.cut(torch.tensor([0]), torch.from_numpy(matrix)[None], (32, 32))
    expected = Crop(matrix, (32, 32)).cut(image)
    assert np.array_equal(cut[0].permute(1, 2, 0).numpy(), expected)


def test_pictures_that_cannot_be_read_are_stood_in_for(people: PoseDataset) -> None:
    readable = ResidentPictures(paths(people)[2:], CPU)  # the first two people are in the first picture
    plans = TrainingCrops(people, SIZE, Augmentation(), numbers=readable.numbers)
    assert plans[Draw(0, 1)]["unreadable"] == 1
    assert plans[Draw(0, 2)]["unreadable"] == READ
    with pytest.raises(ImageError, match="none of the pictures"):
        ResidentPictures([Path("nowhere.png")], CPU)
