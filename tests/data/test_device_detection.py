"""Crops of the detector cut on the device match crops cut from files."""

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
AUGMENTATION = DetectionAugmentation(scale=(0.3, 1.2), mosaic_probability=0.5, color_jitter=0.3)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[DetectionSample]:
    """Smooth images of several sizes, the largest eight times the crop's, each with two people and a crowd."""
    folder, random = tmp_path_factory.mktemp("detection"), np.random.default_rng(0)
    document: dict[str, list[dict[str, object]]] = {"images": [], "annotations": []}
    for number, (height, width) in enumerate([(120, 200), (333, 251), (701, 1023), (96, 128)]):
        smooth = cv2.resize(random.integers(0, 255, (5, 7, 3)).astype(np.uint8), (width, height))
        cv2.imwrite(str(folder / f"{number}.png"), smooth)
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


def test_device_crops_match_crops_from_files(images: list[DetectionSample]) -> None:
    device_images = DeviceImages([image.path for image in images], CPU, levels=4)
    files = DetectionCropDataset(images, SIZE, AUGMENTATION, seed=1)
    device_crops = DetectionCropDataset(images, SIZE, AUGMENTATION, image_indices=device_images.indices, seed=1)
    samples = [SampleIndex(epoch, number) for epoch in range(6) for number in range(len(images))]
    expected, params = (
        collate([files[sample] for sample in samples]),
        collate([device_crops[sample] for sample in samples]),
    )
    for name in ("corners", "present", "ignored", "unlabeled"):
        assert torch.equal(expected[name], params[name])
    pixels = warp_quadrants(device_images, params, SIZE)
    assert pixels.shape == expected["image"].shape
    difference = (pixels.int() - expected["image"].int()).abs().float().mean((1, 2, 3))
    assert difference.median() < 0.5
    assert difference.max() < 3  # large reductions take other steps


def test_levels_halve_the_size(images: list[DetectionSample]) -> None:
    device_images = DeviceImages([image.path for image in images], CPU, levels=3)
    first = device_images.indices[images[1].path]
    assert device_images.heights[first : first + 3].tolist() == [333, 167, 84]
    assert device_images.widths[first : first + 3].tolist() == [251, 126, 63]


def test_missing_image_raises_an_error(images: list[DetectionSample]) -> None:
    device_crops = DetectionCropDataset(images, SIZE, DetectionAugmentation(), image_indices={})
    with pytest.raises(ImageError, match=r"0\.png could not be read"):
        device_crops[SampleIndex(0, 0)]
