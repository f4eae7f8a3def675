"""rsn18.starter: the weights in the package, on real photos."""

from pathlib import Path

import numpy as np
import pytest

from rsn import COCO_17, PoseEstimator
from rsn.datasets.coco import read_coco
from rsn.evaluation import evaluate_keypoints
from rsn.evaluation.run import estimate_boxes, labelled_boxes
from rsn.networks.weights import weights_path


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    return PoseEstimator(flip=True)


def test_the_card_says_what_it_is(estimator: PoseEstimator) -> None:
    card = estimator.card
    assert card.model == "rsn18"
    assert card.skeleton == COCO_17
    assert card.trained_on
    assert card.license
    assert card.notes
    assert 0 < card.figures["AP"] < 1


def test_it_is_small_enough_to_ship() -> None:
    assert weights_path("rsn18.starter").stat().st_size < 25_000_000


def test_it_finds_a_face_and_shoulders(estimator: PoseEstimator) -> None:
    astronaut = pytest.importorskip("skimage.data").astronaut()
    person = estimator(astronaut, [[30, 0, 420, 512]])[0]
    joints = dict(zip(COCO_17.joints, person.keypoints, strict=True))
    assert np.linalg.norm(joints["nose"] - [225, 115]) < 40
    shoulders = (joints["left_shoulder"] + joints["right_shoulder"]) / 2
    assert shoulders[1] > joints["nose"][1] + 50
    assert joints["left_shoulder"][0] > joints["right_shoulder"][0] + 100


@pytest.mark.slow
def test_its_figures_are_those_of_its_card(estimator: PoseEstimator, shared_dir: Path) -> None:
    folder = shared_dir / "data" / "coco"
    annotations = folder / "person_keypoints_val2017.json"
    boxes = labelled_boxes(read_coco(annotations, folder / "val2017").with_joints())
    found = [entry for entries in estimate_boxes(estimator, boxes) for entry in entries]
    measured = evaluate_keypoints(annotations, found, COCO_17).as_dict()
    assert measured == pytest.approx(
        estimator.card.figures, abs=0.01
    )  # OpenCV versions cut crops differently
