"""A detector's crops cut on the device: the ones that are cut from files."""

import json

import cv2
import numpy as np
import pytest
import torch

from rsn.datasets.boxed import BoxCrops, BoxedImage, Framing, collate, read_boxed
from rsn.datasets.loading import Draw
from rsn.datasets.resident import ResidentPictures, cut_quarters
from rsn.errors import ImageError

CPU = torch.device("cpu")
SIZE = (96, 128)
FRAMING = Framing(scale=(0.3, 1.2), mosaic_probability=0.5, colour=0.3)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[BoxedImage]:
    """Soft pictures of several sizes, the largest eight times the crop's, each with two people and a crowd."""
    folder, random = tmp_path_factory.mktemp("boxed"), np.random.default_rng(0)
    document: dict[str, list[dict[str, object]]] = {"images": [], "annotations": []}
    for number, (height, width) in enumerate([(120, 200), (333, 251), (701, 1023), (96, 128)]):
        soft = cv2.resize(random.integers(0, 255, (5, 7, 3)).astype(np.uint8), (width, height))
        cv2.imwrite(str(folder / f"{number}.png"), soft)
        document["images"].append(
            {
                "id": number,
                "file_name": f"{number}.png",
                "height": height,
                "width": width,
                "annotations_complete": number == 1,
            }
        )
        for left, crowd in ((0.1, 0), (0.5, 0), (0.7, 1)):
            box = [left * width, 0.2 * height, 0.25 * width, 0.6 * height]
            document["annotations"].append({"image_id": number, "bbox": box, "iscrowd": crowd})
    (folder / "people.json").write_text(json.dumps(document))
    return read_boxed(folder / "people.json", folder)


def test_the_same_draws_give_the_same_crops(images: list[BoxedImage]) -> None:
    pictures = ResidentPictures([image.path for image in images], CPU, levels=4)
    files = BoxCrops(images, SIZE, FRAMING, seed=1)
    plans = BoxCrops(images, SIZE, FRAMING, numbers=pictures.numbers, seed=1)
    draws = [Draw(epoch, number) for epoch in range(6) for number in range(len(images))]
    cut, planned = collate([files[draw] for draw in draws]), collate([plans[draw] for draw in draws])
    for name in ("corners", "present", "ignored", "complete"):
        assert torch.equal(cut[name], planned[name])
    pixels = cut_quarters(pictures, planned, SIZE)
    assert pixels.shape == cut["image"].shape
    difference = (pixels.int() - cut["image"].int()).abs().float().mean((1, 2, 3))
    assert difference.median() < 0.5
    assert difference.max() < 3  # a picture that shrinks a lot is shrunk in other steps


def test_every_second_copy_is_half_as_large(images: list[BoxedImage]) -> None:
    pictures = ResidentPictures([image.path for image in images], CPU, levels=3)
    first = pictures.numbers[images[1].path]
    assert pictures.heights[first : first + 3].tolist() == [333, 167, 84]
    assert pictures.widths[first : first + 3].tolist() == [251, 126, 63]


def test_a_picture_that_is_not_there_is_an_error(images: list[BoxedImage]) -> None:
    plans = BoxCrops(images, SIZE, Framing(), numbers={})
    with pytest.raises(ImageError, match=r"0\.png could not be read"):
        plans[Draw(0, 0)]
