"""rsn18.starter, the pose weights in the package, on real images."""

from pathlib import Path

import numpy as np
import pytest

from rsn import COCO_17, PoseEstimator
from rsn.data.coco import read_coco
from rsn.evaluation import evaluate_keypoints
from rsn.evaluation.prediction import labeled_boxes, predict_poses
from rsn.weights.loading import convert_weights
from rsn.weights.sources import load_metadata, weights_path


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    return PoseEstimator(flip_test=True)


def test_metadata_describes_the_weights(estimator: PoseEstimator) -> None:
    metadata = estimator.metadata
    assert metadata.model == "rsn18"
    assert metadata.skeleton == COCO_17
    assert metadata.trained_on
    assert metadata.license
    assert metadata.notes
    assert 0 < metadata.metrics["AP"] < 1


def test_file_is_small() -> None:
    assert weights_path("rsn18.starter").stat().st_size < 25_000_000


def test_starter_finds_face_and_shoulders(estimator: PoseEstimator) -> None:
    astronaut = pytest.importorskip("skimage.data").astronaut()
    person = estimator(astronaut, [[30, 0, 420, 512]], box_format="xywh")[0]
    keypoints = dict(zip(COCO_17.keypoint_names, person.keypoints, strict=True))
    assert np.linalg.norm(keypoints["nose"] - [225, 115]) < 40
    shoulders = (keypoints["left_shoulder"] + keypoints["right_shoulder"]) / 2
    assert shoulders[1] > keypoints["nose"][1] + 50
    assert keypoints["left_shoulder"][0] > keypoints["right_shoulder"][0] + 100


def test_expected_errors_are_pixels_of_the_image(estimator: PoseEstimator) -> None:
    astronaut = pytest.importorskip("skimage.data").astronaut()
    small, large = (
        estimator(image, [[30 * scale, 0, 420 * scale, 512 * scale]], box_format="xywh")
        for scale, image in ((1, astronaut), (2, astronaut.repeat(2, 0).repeat(2, 1)))
    )
    np.testing.assert_allclose(large.std, 2 * small.std, rtol=0.2)
    errors = dict(zip(COCO_17.keypoint_names, small.std[0], strict=True))
    assert errors["left_eye"] < 8
    assert errors["left_ankle"] > 40  # outside of the image


def test_converted_weights_keep_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "copy.safetensors"
    convert_weights("rsn18.starter", path)
    assert load_metadata(path) == load_metadata("rsn18.starter")
    assert load_metadata(path).uncertainty is not None


@pytest.mark.slow
def test_metrics_equal_those_of_the_metadata(estimator: PoseEstimator, shared_dir: Path) -> None:
    folder = shared_dir / "data" / "coco"
    annotations = folder / "person_keypoints_val2017.json"
    boxes = labeled_boxes(read_coco(annotations, folder / "val2017").filter_valid())
    found = [entry for entries in predict_poses(estimator, boxes) for entry in entries]
    measured = evaluate_keypoints(annotations, found, COCO_17).as_dict()
    assert measured == pytest.approx(estimator.metadata.metrics, abs=0.01)  # OpenCV versions cut crops differently
