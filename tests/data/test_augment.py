"""Augmented crops: keypoints stay on their pixels, seeds decide everything, the distributions are the reference's."""

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
from rsn.data.loading import CropDataset, SampleIndex, ShuffledBatches
from rsn.skeletons import COCO_17, NOT_ANNOTATED

SIZE = (256, 192)
STILL = Augmentation(
    jitter=(0, 0), half_body_probability=0, scale=(1, 1), rotation_probability=0, flip_probability=0
)


@pytest.fixture
def person() -> PersonAnnotation:
    random = np.random.default_rng(1)
    return PersonAnnotation(
        ImageFile(1, Path("drawn")),
        np.array([40.0, 30.0, 90.0, 150.0]),
        random.uniform((40, 30), (130, 180), (17, 2)).round().astype(np.float32),
        np.full(17, 2),
    )


@pytest.mark.parametrize("seed", range(8))
def test_keypoints_stay_on_their_pixels(person: PersonAnnotation, seed: int) -> None:
    """A white dot on one keypoint is found at that keypoint's (swapped, where flipped) place in the crop."""
    keypoint = COCO_17.keypoint_names.index("left_wrist")
    x, y = person.keypoints[keypoint].astype(int)
    image = np.zeros((220, 200, 3), np.uint8)
    cv2.circle(image, (int(x), int(y)), 2, (255, 255, 255), cv2.FILLED)
    drawn = augment(person, COCO_17, SIZE, Augmentation(), np.random.default_rng(seed))
    pixels = drawn.crop.warp(image)[..., 0].astype(float)
    straight = drawn.crop.to_input(person.keypoints[keypoint])
    if not pixels.any():
        assert not (10 < straight[0] < SIZE[1] - 10 and 10 < straight[1] < SIZE[0] - 10)
        return
    rows, columns = np.nonzero(pixels > 100)
    where = [columns.mean(), rows.mean()]
    flipped = np.linalg.det(drawn.crop.matrix[:, :2]) < 0
    slot = COCO_17.flip_indices[keypoint] if flipped else keypoint
    if drawn.visibility[slot]:
        assert drawn.keypoints[slot] == pytest.approx(where, abs=1.5)


def test_without_randomness_the_crop_is_the_extended_box(person: PersonAnnotation) -> None:
    drawn = augment(person, COCO_17, SIZE, STILL, np.random.default_rng(0))
    x, y, width, height = person.box
    center = drawn.crop.to_input([x + width / 2, y + height / 2])
    assert center == pytest.approx([96, 128])
    top = drawn.crop.to_image([96, 0])
    assert top[1] == pytest.approx(y + height / 2 - 1.05 * height / 2)


def test_keypoints_outside_the_crop_are_absent_and_unknown_ones_stay_unknown(
    person: PersonAnnotation,
) -> None:
    visibility = np.full(17, 2)
    visibility[0] = NOT_ANNOTATED
    keypoints = person.keypoints.copy()
    keypoints[1] = (-500, 0)
    odd = replace(person, visibility=visibility, keypoints=keypoints)
    drawn = augment(odd, COCO_17, SIZE, STILL, np.random.default_rng(0))
    assert drawn.visibility[0] == NOT_ANNOTATED
    assert drawn.visibility[1] == 0
    assert drawn.visibility[2] == 2


def test_flipping_swaps_sides(person: PersonAnnotation) -> None:
    flip = replace(STILL, flip_probability=1)
    straight = augment(person, COCO_17, SIZE, STILL, np.random.default_rng(0))
    flipped = augment(person, COCO_17, SIZE, flip, np.random.default_rng(0))
    expected = straight.keypoints[list(COCO_17.flip_indices)] * [-1, 1] + [SIZE[1], 0]
    np.testing.assert_allclose(flipped.keypoints, expected, atol=1e-3)


def test_half_skeleton_takes_the_upper_half_as_often_as_the_reference(person: PersonAnnotation) -> None:
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


def test_few_keypoints_are_never_halved(person: PersonAnnotation) -> None:
    settings = replace(STILL, half_body_probability=1)
    few = replace(person, visibility=np.where(np.arange(17) < 3, 2, 0))
    crop = augment(few, COCO_17, SIZE, settings, np.random.default_rng(0)).crop
    assert crop.matrix == pytest.approx(
        augment(few, COCO_17, SIZE, STILL, np.random.default_rng(0)).crop.matrix
    )


def test_scale_and_rotation_stay_within_their_bounds(person: PersonAnnotation) -> None:
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
    return CropDataset(
        read_coco(people_json, people_json.parent / "images"), (64, 64), Augmentation(), seed=3
    )


def test_a_draw_is_decided_by_seed_epoch_and_person(crops: CropDataset) -> None:
    first, again, later = crops[SampleIndex(0, 2)], crops[SampleIndex(0, 2)], crops[SampleIndex(1, 2)]
    assert torch.equal(first["image"], again["image"])
    assert not torch.equal(first["image"], later["image"])


def test_workers_do_not_change_what_is_drawn(crops: CropDataset) -> None:
    batches = ShuffledBatches(len(crops), batch_size=3, steps_per_interval=4, seed=3)
    alone = list(DataLoader(crops, batch_sampler=batches, num_workers=0))
    shared = list(DataLoader(crops, batch_sampler=batches, num_workers=2))
    assert len(alone) == 4
    for a, b in zip(alone, shared, strict=True):
        assert torch.equal(a["image"], b["image"])
        assert torch.equal(a["keypoints"], b["keypoints"])


def test_rounds_go_on_where_the_last_one_ended() -> None:
    one_round = ShuffledBatches(people=7, batch_size=3, steps_per_interval=14)
    rounds = ShuffledBatches(people=7, batch_size=3, steps_per_interval=2)
    pieces = []
    for number in range(7):
        rounds.set_epoch(number)
        pieces += list(rounds)
    assert pieces == list(one_round)
    draws = [draw for batch in pieces for draw in batch]
    assert sorted(draw.person for draw in draws[:7]) == list(range(7))
    assert len(set(draws)) == len(draws)


def test_colors_change_by_as_much_as_is_asked_for() -> None:
    gray = np.full((4, 4, 3), 128, np.uint8)
    random = np.random.default_rng(0)
    assert (apply_color_factors(gray, sample_color_factors(0.0, random)) == gray).all()
    drawn = np.stack(
        [apply_color_factors(gray, sample_color_factors(0.2, random))[0, 0] for _ in range(500)]
    ).astype(int)
    assert drawn.std(0).min() > 20
    assert (drawn.std(1) > 3).mean() > 0.8  # channels differ
    assert drawn.min() >= 128 * 0.8 - 51 - 1
    assert drawn.max() <= 128 * 1.2 + 51 + 1
