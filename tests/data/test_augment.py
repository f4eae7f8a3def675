"""Augmented crops: keypoints move with their pixels, seeds determine everything, distributions match the reference."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from rsn.data.annotations import ImageFile, PersonAnnotation
from rsn.data.augment import Augmentation, apply_color_factors, augment, sample_color_factors
from rsn.data.coco import read_coco
from rsn.data.loading import CropDataset, Interval, SampleIndex, ShuffledBatches
from rsn.skeletons import COCO_17, NOT_ANNOTATED

SIZE = (256, 192)
STILL = Augmentation(jitter=(0, 0), half_body_probability=0, scale=(1, 1), rotation_probability=0, flip_probability=0)


@pytest.fixture
def person() -> PersonAnnotation:
    random = np.random.default_rng(1)
    return PersonAnnotation(
        ImageFile(1, Path("person.png")),
        np.array([40.0, 30.0, 90.0, 150.0]),
        random.uniform((40, 30), (130, 180), (17, 2)).round().astype(np.float32),
        np.full(17, 2),
    )


@pytest.mark.parametrize("seed", range(8))
def test_keypoints_move_with_their_pixels(person: PersonAnnotation, seed: int) -> None:
    """A white dot on a keypoint is at this keypoint (after a flip, at its counterpart) in the crop."""
    keypoint = COCO_17.keypoint_names.index("left_wrist")
    x, y = person.keypoints[keypoint].astype(int)
    image = np.zeros((220, 200, 3), np.uint8)
    cv2.circle(image, (int(x), int(y)), 2, (255, 255, 255), cv2.FILLED)
    augmented = augment(person, COCO_17, SIZE, Augmentation(), np.random.default_rng(seed))
    pixels = augmented.crop.warp(image)[..., 0].astype(float)
    straight = augmented.crop.to_input(person.keypoints[keypoint])
    if not pixels.any():
        assert not (10 < straight[0] < SIZE[1] - 10 and 10 < straight[1] < SIZE[0] - 10)
        return
    rows, columns = np.nonzero(pixels > 100)
    where = [columns.mean(), rows.mean()]
    flipped = np.linalg.det(augmented.crop.matrix[:, :2]) < 0
    slot = COCO_17.flip_indices[keypoint] if flipped else keypoint
    if augmented.visibility[slot]:
        assert augmented.keypoints[slot] == pytest.approx(where, abs=1.5)


def test_crop_without_randomness_is_the_padded_box(person: PersonAnnotation) -> None:
    augmented = augment(person, COCO_17, SIZE, STILL, np.random.default_rng(0))
    x, y, width, height = person.box
    center = augmented.crop.to_input([x + width / 2, y + height / 2])
    assert center == pytest.approx([96, 128])
    top = augmented.crop.to_image([96, 0])
    assert top[1] == pytest.approx(y + height / 2 - 1.05 * height / 2)


def test_keypoints_outside_the_crop_become_absent_unless_not_annotated(
    person: PersonAnnotation,
) -> None:
    visibility = np.full(17, 2)
    visibility[0] = NOT_ANNOTATED
    keypoints = person.keypoints.copy()
    keypoints[1] = (-500, 0)
    changed = replace(person, visibility=visibility, keypoints=keypoints)
    augmented = augment(changed, COCO_17, SIZE, STILL, np.random.default_rng(0))
    assert augmented.visibility[0] == NOT_ANNOTATED
    assert augmented.visibility[1] == 0
    assert augmented.visibility[2] == 2


def test_flip_exchanges_left_and_right(person: PersonAnnotation) -> None:
    flip = replace(STILL, flip_probability=1)
    straight = augment(person, COCO_17, SIZE, STILL, np.random.default_rng(0))
    flipped = augment(person, COCO_17, SIZE, flip, np.random.default_rng(0))
    expected = straight.keypoints[list(COCO_17.flip_indices)] * [-1, 1] + [SIZE[1], 0]
    np.testing.assert_allclose(flipped.keypoints, expected, atol=1e-3)


def test_half_body_prefers_the_upper_half_as_often_as_the_reference(person: PersonAnnotation) -> None:
    settings = replace(STILL, half_body_probability=1)
    upper = sorted(COCO_17.upper_body)
    lower = [keypoint for keypoint in range(17) if keypoint not in COCO_17.upper_body]
    centers_ = {name: person.keypoints[ids] for name, ids in (("upper", upper), ("lower", lower))}
    box_centers = {name: (points.min(0) + points.max(0)) / 2 for name, points in centers_.items()}
    found = {"upper": 0, "lower": 0}
    for seed in range(600):
        crop = augment(person, COCO_17, SIZE, settings, np.random.default_rng(seed)).crop
        shown = crop.to_image([SIZE[1] / 2, SIZE[0] / 2])
        found[min(box_centers, key=lambda name: float(np.abs(shown - box_centers[name]).sum()))] += 1
    assert found["upper"] / 600 == pytest.approx(0.6915, abs=0.06)


def test_half_body_needs_enough_keypoints(person: PersonAnnotation) -> None:
    settings = replace(STILL, half_body_probability=1)
    few = replace(person, visibility=np.where(np.arange(17) < 3, 2, 0))
    crop = augment(few, COCO_17, SIZE, settings, np.random.default_rng(0)).crop
    assert crop.matrix == pytest.approx(augment(few, COCO_17, SIZE, STILL, np.random.default_rng(0)).crop.matrix)


def test_scale_and_rotation_stay_in_their_ranges(person: PersonAnnotation) -> None:
    settings = replace(Augmentation(), jitter=(0, 0), half_body_probability=0, flip_probability=0)
    base = np.linalg.det(augment(person, COCO_17, SIZE, STILL, np.random.default_rng(0)).crop.matrix[:, :2])
    angles, scales = [], []
    for seed in range(400):
        linear = augment(person, COCO_17, SIZE, settings, np.random.default_rng(seed)).crop.matrix[:, :2]
        angles.append(np.rad2deg(np.arctan2(linear[0, 1], linear[0, 0])))
        scales.append(np.sqrt(base / np.linalg.det(linear)))
    assert 40 < max(np.abs(angles)) <= 45
    assert np.mean(np.abs(angles) < 1e-6) == pytest.approx(0.5, abs=0.08)
    assert 0.6 <= min(scales) < 0.62
    assert 0.98 < max(scales) <= 1.0


@pytest.fixture(scope="module")
def crops(people_json: Path) -> CropDataset:
    return CropDataset(read_coco(people_json, people_json.parent / "images"), (64, 64), Augmentation(), seed=3)


def test_crop_depends_on_seed_epoch_and_person_only(crops: CropDataset) -> None:
    first, again, later = crops[SampleIndex(0, 2)], crops[SampleIndex(0, 2)], crops[SampleIndex(1, 2)]
    assert torch.equal(first["image"], again["image"])
    assert not torch.equal(first["image"], later["image"])


def test_crops_do_not_depend_on_the_number_of_workers(crops: CropDataset) -> None:
    batches = ShuffledBatches([1.0] * len(crops), [Interval(3, (64, 64))], 4, seed=3)
    alone = list(DataLoader(crops, batch_sampler=batches, num_workers=0))
    shared = list(DataLoader(crops, batch_sampler=batches, num_workers=2))
    assert len(alone) == 4
    for a, b in zip(alone, shared, strict=True):
        assert torch.equal(a["image"], b["image"])
        assert torch.equal(a["keypoints"], b["keypoints"])


def test_intervals_continue_the_sequence_of_epochs() -> None:
    each = Interval(3, (64, 64))
    whole = ShuffledBatches([1.0] * 7, [each], 14)
    intervals = ShuffledBatches([1.0] * 7, [each] * 7, 2)
    pieces = []
    for number in range(7):
        intervals.set_epoch(number)
        pieces += list(intervals)
    assert pieces == list(whole)
    samples = [sample for batch in pieces for sample in batch]
    assert sorted(sample.index for sample in samples[:7]) == list(range(7))
    assert len(set(samples)) == len(samples)


def test_sampling_weights_decide_how_often_a_sample_is_drawn() -> None:
    weights = [2.5] * 4 + [1.0] * 4 + [0.3] * 4
    samples = [sample for batch in ShuffledBatches(weights, [Interval(15, (64, 64))], 20, seed=1) for sample in batch]
    assert len(samples) == 300  # some twenty passes of 15.2 samples
    assert len(set(samples)) == len(samples)  # each time in another crop
    drawn = Counter(sample.index for sample in samples)
    for index, weight in enumerate(weights):
        assert drawn[index] == pytest.approx(weight * 300 / 15.2, abs=weight + 1)


def test_intervals_with_weights_continue_the_sequence_and_change_size() -> None:
    weights, intervals = (
        [2.5, 1.0, 0.2, 0.7, 1.0],
        [Interval(4, (64, 64)), Interval(2, (96, 64)), Interval(6, (96, 64))],
    )
    batches = ShuffledBatches(weights, intervals, 3, seed=2)
    pieces = []
    for number, interval in enumerate(intervals):
        batches.set_epoch(number)
        drawn = list(batches)
        assert [len(batch) for batch in drawn] == [interval.batch_size] * 3
        assert {sample.size for batch in drawn for sample in batch} == {interval.size}
        pieces += [(sample.epoch, sample.index) for batch in drawn for sample in batch]
    whole = ShuffledBatches(weights, [Interval(36, (64, 64))], 1, seed=2)
    assert pieces == [(sample.epoch, sample.index) for batch in whole for sample in batch]


def test_crop_has_the_size_of_its_sample(crops: CropDataset) -> None:
    assert crops[SampleIndex(0, 2, (96, 64))]["image"].shape == (3, 96, 64)
    assert crops[SampleIndex(0, 2)]["image"].shape == (3, 64, 64)


def test_color_jitter_stays_in_its_range() -> None:
    gray = np.full((4, 4, 3), 128, np.uint8)
    random = np.random.default_rng(0)
    assert (apply_color_factors(gray, sample_color_factors(0.0, random)) == gray).all()
    colors = np.stack([apply_color_factors(gray, sample_color_factors(0.2, random))[0, 0] for _ in range(500)]).astype(
        int
    )
    assert colors.std(0).min() > 20
    assert (colors.std(1) > 3).mean() > 0.8  # channels differ
    assert colors.min() >= 128 * 0.8 - 51 - 1
    assert colors.max() <= 128 * 1.2 + 51 + 1
