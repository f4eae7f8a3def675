"""The detector included in rsn: fusion of scales. The results of its weights are tested in test_people_weights.py."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rsn.detection.postprocessing import Detections, NetworkDetector
from rsn.detection.starter import StarterDetector, fuse_detections, input_size
from rsn.geometry import Image, box_iou
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
    detector = StarterDetector.from_network(network, metadata, device="cpu", box_threshold=0.0)
    assert network.training  # a copy of it is used
    for shape in ((90, 120, 3), (8, 500, 3)):
        image = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
        boxes, scores = detector(image)
        assert boxes.shape == (len(scores), 4)
        assert (np.diff(scores) <= 0).all()
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, :2] + boxes[:, 2:] <= np.array([shape[1], shape[0]]) + 1e-6).all()


@pytest.fixture(scope="module")
def random_detector() -> tuple[nn.Module, DetectorMetadata]:
    torch.manual_seed(0)
    network = create_model("res18", num_keypoints=5)
    return network, DetectorMetadata("res18", input_size=(96, 96), detector=DetectorSettings((64, 96)))


def noise(*sizes: tuple[int, int]) -> list[Image]:
    random = np.random.default_rng(0)
    return [random.integers(0, 255, (*size, 3)).astype(np.uint8) for size in sizes]


def test_images_detected_together_have_the_boxes_of_each_alone(
    random_detector: tuple[nn.Module, DetectorMetadata],
) -> None:
    detector = StarterDetector.from_network(*random_detector, backend="torch", device="cpu", box_threshold=0.0)
    assert isinstance(detector, NetworkDetector)
    images = noise((90, 120), (120, 90), (90, 120), (50, 50), (40, 200))
    inputs = [detector.preprocess(image) for image in images]
    together = [detector.postprocess(*pair) for pair in zip(inputs, detector.forward(inputs), strict=True)]
    for (boxes, scores), image in zip(together, images, strict=True):
        expected_boxes, expected_scores = detector(image)
        assert len(boxes) > 1
        np.testing.assert_allclose(boxes, expected_boxes, atol=1e-3)
        np.testing.assert_allclose(scores, expected_scores, atol=1e-5)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_backends_find_the_boxes_of_pytorch(
    random_detector: tuple[nn.Module, DetectorMetadata], backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in ("onnxscript", "onnxruntime") if backend == "onnxruntime" else ("openvino",):
        pytest.importorskip(library)
    monkeypatch.setenv("RSN_CACHE", str(tmp_path))
    detector = StarterDetector.from_network(*random_detector, backend=backend, device="cpu", box_threshold=0.0)
    reference = StarterDetector.from_network(*random_detector, backend="torch", device="cpu", box_threshold=0.0)
    for image in noise((90, 120), (200, 60)):
        boxes, scores = detector(image)
        expected_boxes, expected_scores = reference(image)
        np.testing.assert_allclose(scores, expected_scores, atol=1e-5)
        np.testing.assert_allclose(boxes, expected_boxes, atol=1e-2)


def test_input_has_the_aspect_ratio_of_the_image() -> None:
    assert input_size((480, 640), 576) == (448, 576)
    assert input_size((640, 427), 576) == (576, 384)
    assert input_size((300, 300), 256) == (256, 256)
    assert input_size((8, 5000), 256) == (32, 256)
