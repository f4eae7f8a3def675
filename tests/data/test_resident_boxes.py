"""A detector's crops cut on the device: the ones that are cut from files."""

import json

import cv2
import numpy as np
import pytest
import torch

from rsn.data.detection import (
    DetectionAugmentation,
    DetectionCropDataset,
    DetectionSample,
    collate,
    read_detection_samples,
)
from rsn.data.device_images import DeviceImages, warp_quadrants
from rsn.data.loading import SampleIndex
from rsn.errors import ImageError

CPU = torch.device("cpu")
SIZE = (96, 128)
FRAMING = DetectionAugmentation(scale=(0.3, 1.2), mosaic_probability=0.5, color_jitter=0.3)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[DetectionSample]:
    """Soft images of several sizes, the largest eight times the crop's, each with two people and a crowd."""
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
    return read_detection_samples(folder / "people.json", folder)


def test_the_same_draws_give_the_same_crops(images: list[DetectionSample]) -> None:
    stored_images = DeviceImages([image.path for image in images], CPU, levels=4)
    files = DetectionCropDataset(images, SIZE, FRAMING, seed=1)
    plans = DetectionCropDataset(images, SIZE, FRAMING, image_indices=stored_images.indices, seed=1)
    draws = [SampleIndex(epoch, number) for epoch in range(6) for number in range(len(images))]
    cut, planned = collate([files[draw] for draw in draws]), collate([plans[draw] for draw in draws])
    for name in ("corners", "present", "ignored", "complete"):
        assert torch.equal(cut[name], planned[name])
    pixels = warp_quadrants(stored_images, planned, SIZE)
    assert pixels.shape == cut["image"].shape
    difference = (pixels.int() - cut["image"].int()).abs().float().mean((1, 2, 3))
    assert difference.median() < 0.5
    assert difference.max() < 3  # an image that shrinks a lot is shrunk in other steps


def test_every_second_copy_is_half_as_large(images: list[DetectionSample]) -> None:
    stored_images = DeviceImages([image.path for image in images], CPU, levels=3)
    first = stored_images.indices[images[1].path]
    assert stored_images.heights[first : first + 3].tolist() == [333, 167, 84]
    assert stored_images.widths[first : first + 3].tolist() == [251, 126, 63]


def test_a_image_that_is_not_there_is_an_error(images: list[DetectionSample]) -> None:
    plans = DetectionCropDataset(images, SIZE, DetectionAugmentation(), image_indices={})
    with pytest.raises(ImageError, match=r"0\.png could not be read"):
        plans[SampleIndex(0, 0)]
