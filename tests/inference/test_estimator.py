"""The predict road: batches do not change answers, the flip test averages, boxes are checked."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rsn import PoseEstimator, codecs
from rsn.errors import AnnotationError, DeviceError, UnknownNameError
from rsn.geometry import Crop
from rsn.inference.ensemble import run_with_flip
from rsn.inference.estimator import ImageWithBoxes
from rsn.results import Person
from rsn.skeletons import MPII_16
from rsn.weights.loading import create_model, load_model
from rsn.weights.metadata import ModelMetadata

BOXES = [[10.0, 5.0, 60.0, 90.0], [60.0, 20.0, 50.0, 80.0], [-20.0, -10.0, 90.0, 60.0]]


@pytest.fixture(scope="module")
def estimator(random_weights: Path) -> PoseEstimator:
    return PoseEstimator(random_weights, backend="torch", batch_size=2)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)


def close(a: Person, b: Person) -> bool:
    return np.allclose(a.keypoints, b.keypoints, atol=1e-3) and np.allclose(a.scores, b.scores, atol=1e-4)


def test_batches_across_images_do_not_change_the_answers(estimator: PoseEstimator, image: np.ndarray) -> None:
    images_with_boxes = [
        ImageWithBoxes.of(image, BOXES),
        ImageWithBoxes.of(image, []),
        ImageWithBoxes.of(image[::-1].copy(), BOXES[:1]),
    ]
    process_group = list(estimator.estimate(images_with_boxes))
    assert [len(people) for people in process_group] == [3, 0, 1]
    for image_with_boxes, people in zip(images_with_boxes, process_group, strict=True):
        alone = [estimator(image_with_boxes.image, [box])[0] for box in image_with_boxes.boxes]
        assert all(close(a, b) for a, b in zip(people, alone, strict=True))


def test_the_road_is_crop_network_decode_and_back(
    estimator: PoseEstimator, random_weights: Path, image: np.ndarray
) -> None:
    crop = Crop.from_box(BOXES[0], estimator.metadata.input_size, estimator.metadata.bbox_padding)
    pixels = torch.from_numpy(crop.warp(image)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        maps = load_model(random_weights)(estimator.metadata.normalize(pixels))
    points, scores = codecs.decode(maps)
    person = estimator(image, BOXES[:1], [0.5])[0]
    np.testing.assert_allclose(person.keypoints, crop.to_image(points[0].numpy()), atol=1e-3)
    assert person.raw_score == pytest.approx(0.5 * scores.mean().item(), abs=1e-4)
    assert person.box.tolist() == BOXES[0]


def bright(crops: Tensor) -> Tensor:
    """A backend that sees the brightness itself, the same for every keypoint."""
    return torch.nn.functional.avg_pool2d(crops.float(), 4).mean(1, keepdim=True).repeat(1, 17, 1, 1)


def test_the_flip_test_averages_both_ways() -> None:
    metadata = ModelMetadata("rsn18", input_size=(64, 64))
    crops = torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8)
    plain, flipped = (run_with_flip(bright, metadata, crops, flip=flip) for flip in (False, True))
    torch.testing.assert_close(flipped, plain)


@pytest.mark.parametrize(
    ("boxes", "says"),
    [
        ([[200, 0, 10, 10]], "outside the image of 160 x 120"),
        ([[0, 0, 0, 10]], "less than a pixel wide or high"),
        ([[0, 0, float("nan"), 10]], "not finite"),
        ([[0, 0, 10]], "x, y, width, height"),
    ],
)
def test_impossible_boxes_are_refused(
    estimator: PoseEstimator, image: np.ndarray, boxes: list, says: str
) -> None:
    with pytest.raises(AnnotationError, match=says):
        estimator(image, boxes)


def test_images_with_nobody_are_not_hoarded(estimator: PoseEstimator, image: np.ndarray) -> None:
    taken = []
    images_with_boxes = (taken.append(number) or ImageWithBoxes.of(image, []) for number in range(100))
    assert next(estimator.estimate(images_with_boxes)) == []
    assert len(taken) <= estimator.batch_size


def test_scores_must_match_boxes(estimator: PoseEstimator, image: np.ndarray) -> None:
    with pytest.raises(AnnotationError, match="3 boxes came with 1 scores"):
        estimator(image, BOXES, [0.5])


def test_without_boxes_or_detector_nobody_is_invented(random_weights: Path, image: np.ndarray) -> None:
    with pytest.raises(AnnotationError, match="no detector"):
        PoseEstimator(random_weights, backend="torch", detector=None)(image)


def test_a_detector_is_asked_where_no_boxes_are_given(random_weights: Path, image: np.ndarray) -> None:
    detecting = PoseEstimator(
        random_weights, backend="torch", detector=lambda image: (np.array(BOXES[:1]), np.array([0.25]))
    )
    assert close(detecting(image)[0], detecting(image, BOXES[:1])[0])
    nobody = PoseEstimator(
        random_weights, backend="torch", detector=lambda image: (np.zeros((0, 4)), np.zeros(0))
    )
    assert nobody(image) == []


def test_a_detector_by_name_is_opened_when_it_is_needed(random_weights: Path, image: np.ndarray) -> None:
    named = PoseEstimator(random_weights, backend="torch", detector="dfin")
    assert len(named(image, BOXES)) == len(BOXES)
    with pytest.raises(UnknownNameError, match="did you mean dfine"):
        named(image)


@pytest.mark.parametrize("device", ["cuda:7", "gpu", "mps"])
def test_a_device_that_is_not_there_is_an_error(random_weights: Path, device: str) -> None:
    with pytest.raises(DeviceError, match=device):
        PoseEstimator(random_weights, device=device)


def test_of_people_whom_a_detector_found_twice_one_stays(random_weights: Path, image: np.ndarray) -> None:
    twice = np.array([BOXES[0], BOXES[0], BOXES[1]])
    detecting = PoseEstimator(random_weights, detector=lambda image: (twice, np.array([0.5, 0.9, 0.7])))
    found = detecting(image)
    assert sorted(tuple(person.box) for person in found) == sorted(map(tuple, BOXES[:2]))
    assert [person.score for person in found] == sorted((person.score for person in found), reverse=True)
    assert len(detecting(image, twice)) == 3  # boxes that were given all get their answer


def test_estimator_removes_duplicates_of_a_skeleton_without_sigmas(image: np.ndarray) -> None:
    metadata = ModelMetadata("rsn18", input_size=(64, 64), skeleton=MPII_16)
    twice = np.array([BOXES[0], BOXES[0], BOXES[1]])
    estimator = PoseEstimator(
        create_model("rsn18", num_keypoints=16),
        metadata=metadata,
        detector=lambda image: (twice, np.array([0.5, 0.9, 0.7])),
    )
    found = estimator(image)
    assert sorted((tuple(person.box), person.box_score) for person in found) == sorted(
        [(tuple(BOXES[0]), 0.9), (tuple(BOXES[1]), 0.7)]
    )


def test_a_person_threshold_that_was_given_applies_to_given_boxes(
    random_weights: Path, image: np.ndarray
) -> None:
    everybody = PoseEstimator(random_weights, detector=None, backend="torch")(image, BOXES)
    assert len(everybody) == len(BOXES)
    scores = [person.score for person in everybody]
    estimator = PoseEstimator(random_weights, detector=None, backend="torch", person_threshold=max(scores))
    assert [person.score for person in estimator(image, BOXES)] == [max(scores)]


def test_select_leaves_out_duplicates_and_people_below_the_threshold(random_weights: Path) -> None:
    estimator = PoseEstimator(random_weights, detector=None, backend="torch", person_threshold=0.3)
    pose = np.random.default_rng(0).uniform(0, 100, (17, 2))

    def found(step: float, raw: float) -> Person:
        return Person.from_keypoints([0, 0, 100, 100], pose + step, np.full(17, raw))

    people = [found(0, 0.9), found(0, 1.2), found(500, 1.0), found(900, 0.7)]
    assert [person.score for person in estimator.select(people)] == pytest.approx([0.7, 0.5])
