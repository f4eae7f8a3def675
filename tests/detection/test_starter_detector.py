"""The detector included in rsn: fusion of scales. The results of its weights are tested in test_people_weights.py."""

import numpy as np
import pytest
import torch

from rsn.detection.postprocessing import Detections
from rsn.detection.starter import StarterDetector, fuse_detections
from rsn.geometry import box_iou
from rsn.weights.metadata import DetectorMetadata, DetectorSettings
from rsn.weights.transfer import create_model

NOBODY: Detections = (np.zeros((0, 4)), np.zeros(0))


def look(*rows: tuple[float, ...]) -> Detections:
    table = np.array(rows, float)
    return table[:, :4], table[:, 4]


def test_fuse_detections_averages_matching_boxes() -> None:
    boxes, scores = fuse_detections([look((10, 10, 40, 80, 0.6)), look((14, 10, 40, 80, 0.2))])
    np.testing.assert_allclose(boxes, 2 * [[11, 10, 40, 80]])
    np.testing.assert_allclose(scores, [0.4, 0.4])


def test_fuse_detections_halves_the_score_of_one_scale() -> None:
    boxes, scores = fuse_detections([look((10, 10, 40, 80, 0.6), (200, 10, 40, 80, 0.8)), look((11, 10, 40, 80, 0.6))])
    np.testing.assert_allclose(boxes[1], [200, 10, 40, 80])
    np.testing.assert_allclose(scores, [0.6, 0.4, 0.6])


def test_fuse_detections_of_no_boxes() -> None:
    assert fuse_detections([NOBODY, NOBODY])[0].shape == (0, 4)
    boxes, scores = fuse_detections([NOBODY, look((10, 10, 40, 80, 0.6))])
    np.testing.assert_allclose(boxes, [[10, 10, 40, 80]])
    np.testing.assert_allclose(scores, [0.3])


def test_box_iou() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [20, 0, 10, 10]])
    np.testing.assert_allclose(box_iou(boxes, np.array([[5.0, 0, 10, 10]])), [[1 / 3], [0]])


@pytest.mark.parametrize("settings", [DetectorSettings((32,), flip_test=False), DetectorSettings((64, 96))])
def test_starter_detector_accepts_any_image_and_settings(settings: DetectorSettings) -> None:
    torch.manual_seed(0)
    network = create_model("res18", num_keypoints=5)
    metadata = DetectorMetadata("res18", input_size=(96, 96), detector=settings)
    detector = StarterDetector(network, metadata, device="cpu", box_threshold=0.0)
    assert network.training  # a copy of it is used
    for shape in ((90, 120, 3), (8, 500, 3)):
        image = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
        boxes, scores = detector(image)
        assert boxes.shape == (len(scores), 4)
        assert (np.diff(scores) <= 0).all()
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, :2] + boxes[:, 2:] <= np.array([shape[1], shape[0]]) + 1e-6).all()
