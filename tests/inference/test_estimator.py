"""The estimator: batches do not change results, the flip test averages, detections are filtered, inputs are checked."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from rsn import ModelMetadata, Person, PoseEstimator, PoseModel, PoseResult, create_model
from rsn.errors import AnnotationError, DeviceError, UnknownNameError
from rsn.geometry import Crop
from rsn.inference.single_model import SingleModel
from rsn.skeletons import COCO_17, MPII_16
from rsn.weights.loading import load_model

BOXES = [[10.0, 5.0, 60.0, 90.0], [60.0, 20.0, 50.0, 80.0], [-20.0, -10.0, 90.0, 60.0]]


@pytest.fixture(scope="module")
def estimator(random_weights: Path) -> PoseEstimator:
    return PoseEstimator(random_weights, backend="torch", batch_size=2, detector=None)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)


def detecting(weights: Path, boxes: list, scores: list, **options: object) -> PoseEstimator:
    found = np.array(boxes, float).reshape(-1, 4), np.array(scores, float)
    return PoseEstimator(weights, backend="torch", detector=lambda image: found, **options)


def assert_same_people(result: PoseResult, expected: PoseResult) -> None:
    np.testing.assert_allclose(result.keypoints, expected.keypoints, atol=1e-3)
    np.testing.assert_allclose(result.scores, expected.scores, atol=1e-4)


def test_batches_across_images_do_not_change_the_results(estimator: PoseEstimator, image: np.ndarray) -> None:
    images = [image, image, image[::-1].copy()]
    boxes = [BOXES, [], BOXES[:1]]
    results = estimator(images, boxes, box_format="xywh")
    assert [len(result) for result in results] == [3, 0, 1]
    for pixels, rows, result in zip(images, boxes, results, strict=True):
        assert_same_people(result, estimator(pixels, rows, box_format="xywh"))


def test_prediction_is_crop_network_decode_and_back(
    estimator: PoseEstimator, random_weights: Path, image: np.ndarray
) -> None:
    crop = Crop.from_box(BOXES[0], estimator.metadata.input_size, estimator.metadata.bbox_padding)
    pixels = torch.from_numpy(crop.warp(image)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        maps = load_model(random_weights)(estimator.metadata.normalize(pixels))
    points, scores = estimator.metadata.codec.decode(maps)
    person = estimator(image, BOXES[:1], box_format="xywh", box_scores=[0.5])[0]
    np.testing.assert_allclose(person.keypoints, crop.to_image(points[0].numpy()), atol=1e-3)
    assert person.raw_score == pytest.approx(0.5 * scores.mean().item(), abs=1e-4)
    assert person.bbox.tolist() == BOXES[0]
    assert person.box.tolist() == [10, 5, 70, 95]


def bright(crops: np.ndarray) -> np.ndarray:
    """A backend whose heatmaps are the brightness itself, the same for every keypoint."""
    mean = crops.reshape(len(crops), 3, 16, 4, 16, 4).astype(np.float32).mean((1, 3, 5))
    return np.repeat(mean[:, None], 17, 1)


def test_flip_test_averages_both_ways() -> None:
    model = SingleModel(lambda: bright, ModelMetadata("rsn18", input_size=(64, 64)))
    image = np.random.default_rng(0).integers(0, 255, (90, 80, 3)).astype(np.uint8)
    crops = model.preprocess(image, np.array([[0.0, 0, 80, 90], [10, 10, 40, 60]]), np.ones(2))
    plain, flipped = (model.forward([crops], flip_test=flip, batch_size=1) for flip in (False, True))
    np.testing.assert_allclose(flipped, plain, rtol=1e-5)


def test_generator_of_images_is_read_in_bounded_memory(estimator: PoseEstimator, image: np.ndarray) -> None:
    taken: list[int] = []

    def images() -> Iterator[np.ndarray]:
        for number in range(500):
            taken.append(number)
            yield image

    results = estimator(images(), "whole", keep_image=False)
    first = next(results)
    assert (len(first), first.image) == (1, None)
    assert len(taken) < 50
    results.close()


def test_estimator_without_detector_needs_boxes(estimator: PoseEstimator, image: np.ndarray) -> None:
    with pytest.raises(AnnotationError, match="has no detector, so it needs boxes"):
        estimator(image)


def test_detector_finds_the_boxes_that_are_not_given(random_weights: Path, image: np.ndarray) -> None:
    estimator = detecting(random_weights, BOXES[:1], [0.25])
    assert_same_people(estimator(image), estimator(image, BOXES[:1], box_format="xywh"))
    assert len(detecting(random_weights, [], [])(image)) == 0


def test_box_threshold_applies_to_any_detector(random_weights: Path, image: np.ndarray) -> None:
    estimator = detecting(random_weights, BOXES[:2], [0.25, 0.75], box_threshold=0.5, person_threshold=0)
    assert estimator(image).box_scores.tolist() == [0.75]


def test_detector_by_name_is_opened_when_it_is_needed(random_weights: Path, image: np.ndarray) -> None:
    named = PoseEstimator(random_weights, backend="torch", detector="dfin")
    assert len(named(image, BOXES, box_format="xywh")) == len(BOXES)
    with pytest.raises(UnknownNameError, match="did you mean dfine"):
        named(image)


@pytest.mark.parametrize("device", ["cuda:7", "gpu", "mps"])
def test_estimator_rejects_a_device_that_is_not_available(random_weights: Path, device: str) -> None:
    with pytest.raises(DeviceError, match=device):
        PoseEstimator(random_weights, device=device)


def test_estimator_removes_duplicate_detections(random_weights: Path, image: np.ndarray) -> None:
    twice = [BOXES[0], BOXES[0], BOXES[1]]
    estimator = detecting(random_weights, twice, [0.5, 0.9, 0.7])
    result = estimator(image)
    assert sorted(tuple(person.bbox) for person in result) == sorted(map(tuple, BOXES[:2]))
    assert (np.diff(result.person_scores) <= 0).all()
    assert len(estimator(image, twice, box_format="xywh")) == 3  # all given boxes stay


def test_estimator_removes_duplicates_of_a_skeleton_without_sigmas(image: np.ndarray) -> None:
    metadata = ModelMetadata("rsn18", input_size=(64, 64), skeleton=MPII_16)
    twice = np.array([BOXES[0], BOXES[0], BOXES[1]])
    estimator = PoseEstimator(
        PoseModel(create_model("rsn18", num_keypoints=16), metadata),
        detector=lambda image: (twice, np.array([0.5, 0.9, 0.7])),
    )
    assert sorted((tuple(person.bbox), person.box_score) for person in estimator(image)) == sorted(
        [(tuple(BOXES[0]), 0.9), (tuple(BOXES[1]), 0.7)]
    )


def test_given_person_threshold_applies_to_given_boxes(random_weights: Path, image: np.ndarray) -> None:
    estimator = PoseEstimator(random_weights, detector=None, backend="torch")
    scores = estimator(image, BOXES, box_format="xywh").person_scores
    assert len(scores) == len(BOXES)
    estimator = PoseEstimator(random_weights, detector=None, backend="torch", person_threshold=scores.max())
    assert estimator(image, BOXES, box_format="xywh").person_scores.tolist() == [scores.max()]


def test_select_leaves_out_duplicates_and_persons_below_the_threshold(random_weights: Path) -> None:
    estimator = PoseEstimator(random_weights, detector=None, backend="torch", person_threshold=0.3)
    pose = np.random.default_rng(0).uniform(0, 100, (17, 2))

    def found(step: float, raw: float) -> Person:
        return Person.from_keypoints([0, 0, 100, 100], pose + step, np.full(17, raw))

    people = (found(0, 0.9), found(0, 1.2), found(500, 1.0), found(900, 0.7))
    result = estimator.select(PoseResult(people, COCO_17, (100, 100)), detected=True)
    assert result.person_scores.tolist() == pytest.approx([0.7, 0.5])
