"""The training data of the person detector: samples, crops and their labels."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rsn.data.detection import (
    DetectionAugmentation,
    DetectionCropDataset,
    collate,
    crop_boxes,
    read_detection_samples,
    sample_crop,
)
from rsn.data.loading import SampleIndex
from rsn.errors import AnnotationError
from rsn.geometry import Crop, Region

WHOLE = DetectionAugmentation(scale=(1.0, 1.0), flip_probability=0.0)


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    """An image with a red and a green person and a crowd, and an empty one, which alone is completely annotated."""
    image = np.zeros((60, 120, 3), np.uint8)
    image[10:50, 10:30] = (0, 0, 255)  # OpenCV's BGR
    image[20:40, 70:100] = (0, 255, 0)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((50, 50, 3), np.uint8))
    path = tmp_path / "people.json"
    path.write_text(
        json.dumps(
            {
                "images": [
                    {"id": 1, "file_name": "a.png", "width": 120, "height": 60},
                    {"id": 2, "file_name": "b.png", "width": 50, "height": 50, "annotations_complete": True},
                ],
                "annotations": [
                    {"image_id": 1, "bbox": [10, 10, 20, 40], "iscrowd": 0},
                    {"image_id": 1, "bbox": [70, 20, 30, 20]},
                    {"image_id": 1, "bbox": [100, 0, 20, 60], "iscrowd": 1},
                ],
            }
        )
    )
    return path


def test_read_detection_samples_separates_people_and_crowds(annotations: Path) -> None:
    busy, empty = read_detection_samples(annotations, annotations.parent)
    assert busy.people.tolist() == [[10, 10, 20, 40], [70, 20, 30, 20]]
    assert busy.crowds.tolist() == [[100, 0, 20, 60]]
    assert (busy.complete, empty.complete) == (False, True)
    assert empty.people.shape == (0, 4)


def test_read_detection_samples_rejects_other_json(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(AnnotationError, match=r"list.json: not COCO annotations with boxes"):
        read_detection_samples(tmp_path / "list.json", tmp_path)


def test_boxes_move_with_their_pixels(annotations: Path) -> None:
    """In any crop, flipped or not, the pixels in a person's box have the person's color."""
    crops = DetectionCropDataset(
        read_detection_samples(annotations, annotations.parent), (64, 64), DetectionAugmentation()
    )
    seen = 0
    for epoch in range(30):
        crop = crops[SampleIndex(epoch, 0)]
        for box in crop["corners"]:
            left, top, right, bottom = (int(value) for value in box.round())
            inner = crop["image"][:, top + 1 : bottom - 1, left + 1 : right - 1].flatten(1).float()
            if inner.shape[1]:
                seen += 1
                assert max(inner.mean(1)) > 230
                assert sorted(inner.mean(1))[1] < 25
    assert seen > 30


def test_boxes_move_with_their_pixels_in_a_mosaic(annotations: Path) -> None:
    """Every quadrant has red persons, each in a box."""
    images = [image for image in read_detection_samples(annotations, annotations.parent) if not image.complete]
    crops = DetectionCropDataset(images, (128, 128), DetectionAugmentation(scale=(0.9, 1.1), mosaic_probability=1.0))
    crop = crops[SampleIndex(0, 0)]
    assert crop["image"].shape == (3, 128, 128)
    centers = (crop["corners"][:, :2] + crop["corners"][:, 2:]) / 2
    assert {(bool(x > 64), bool(y > 64)) for x, y in centers} == {(a, b) for a in (False, True) for b in (False, True)}
    for x, y in centers.long().tolist():
        assert crop["image"][:, y, x].max() > 230
    red = (crop["image"][0] > 200) & (crop["image"][1] < 50)
    covered = torch.zeros(128, 128, dtype=torch.bool)
    for left, top, right, bottom in crop["corners"].round().long().tolist():
        covered[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1] = True
    assert not (red & ~covered).any()
    assert (crop["ignored"][:, 2:] <= 128).all()


def test_mosaic_does_not_mix_complete_and_incomplete_images(annotations: Path) -> None:
    crops = DetectionCropDataset(
        read_detection_samples(annotations, annotations.parent),
        (64, 64),
        DetectionAugmentation(mosaic_probability=1.0),
    )
    for epoch in range(5):
        complete = crops[SampleIndex(epoch, 1)]
        assert complete["unlabeled"] == 1
        assert len(complete["corners"]) == 0  # the only complete image is empty
        assert crops[SampleIndex(epoch, 0)]["unlabeled"] == pytest.approx(0.1)


def test_color_jitter_does_not_move_boxes(annotations: Path) -> None:
    images = read_detection_samples(annotations, annotations.parent)
    plain = DetectionCropDataset(images, (64, 64), DetectionAugmentation())[SampleIndex(0, 0)]
    colored = DetectionCropDataset(images, (64, 64), DetectionAugmentation(color_jitter=0.3))[SampleIndex(0, 0)]
    assert torch.equal(plain["corners"], colored["corners"])
    assert not torch.equal(plain["image"], colored["image"])


def test_detection_crop_depends_on_seed_epoch_and_image_only(annotations: Path) -> None:
    crops = DetectionCropDataset(
        read_detection_samples(annotations, annotations.parent), (64, 64), DetectionAugmentation(), seed=3
    )
    first, again, other = crops[SampleIndex(4, 0)], crops[SampleIndex(4, 0)], crops[SampleIndex(5, 0)]
    assert torch.equal(first["image"], again["image"])
    assert torch.equal(first["corners"], again["corners"])
    assert not torch.equal(first["image"], other["image"])


def test_collate_pads_people_with_zeros(annotations: Path) -> None:
    crops = DetectionCropDataset(read_detection_samples(annotations, annotations.parent), (64, 64), WHOLE)
    batch = collate([crops[SampleIndex(0, 0)], crops[SampleIndex(0, 1)]])
    assert batch["image"].shape == (2, 3, 64, 64)
    assert batch["present"].tolist() == [[True, True], [False, False]]
    assert batch["corners"].shape == (2, 2, 4)
    assert batch["ignored"].shape == (2, 1, 4)
    assert batch["unlabeled"].tolist() == pytest.approx([0.1, 1.0])
    empty = collate([crops[SampleIndex(0, 1)]])
    assert empty["corners"].shape == (1, 1, 4)
    assert not empty["present"].any()


def test_crop_boxes_ignores_truncated_and_tiny_people() -> None:
    crop = Crop.from_region(Region.from_box([0, 0, 100, 100]), (50, 50))
    boxes = np.array([[10.0, 10, 40, 60], [-70, 10, 100, 50], [20, 20, 8, 8], [200, 200, 50, 50]])
    corners, seen = crop_boxes(boxes, crop)
    np.testing.assert_allclose(corners[0], [5, 5, 25, 35])
    assert seen.tolist() == [True, False, False, False]


def test_crop_boxes_flips_with_the_crop() -> None:
    crop = Crop.from_region(Region.from_box([0, 0, 100, 100]), (50, 50))
    corners, _ = crop_boxes(np.array([[10.0, 20, 30, 40]]), crop.flipped())
    np.testing.assert_allclose(corners, [[50 - 20, 10, 50 - 5, 30]])


def test_sample_crop_stays_in_the_image() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        crop = sample_crop((300, 300), (64, 64), DetectionAugmentation(scale=(0.4, 1.0)), random)
        corners = crop.to_image([[0, 0], [64, 64]])
        assert corners.min() >= -1e-6
        assert corners.max() <= 300 + 1e-6


def test_warp_antialiased_averages_pixels() -> None:
    """Every second column is white: the average is gray."""
    image = np.zeros((512, 512, 3), np.uint8)
    image[:, ::2] = 255
    crop = Crop.from_box([0, 0, 512, 512], (64, 64), (1.0, 1.0))
    small = crop.warp_antialiased(image)
    assert abs(float(small[4:-4, 4:-4].mean()) - 127.5) < 2
    assert small[4:-4, 4:-4].std() < 3


def test_read_detection_samples_accepts_ids_and_crowds_as_text(annotations: Path) -> None:
    expected = read_detection_samples(annotations, annotations.parent)[0]
    document = json.loads(annotations.read_text(encoding="utf-8"))
    document["images"][0]["file_name"] = "images\\a.png"
    for entry, image_id, crowd in zip(document["annotations"], ("1", 1.0, "a"), ("0", "false", "1"), strict=True):
        entry |= {"image_id": image_id, "iscrowd": crowd, "bbox": [str(value) for value in entry["bbox"]]}
    annotations.write_text(json.dumps(document), encoding="utf-8")
    found = read_detection_samples(annotations, annotations.parent)[0]
    assert found.path == annotations.parent / "a.png"
    assert found.people.tolist() == expected.people.tolist()
    assert found.crowds.tolist() == expected.crowds.tolist()
