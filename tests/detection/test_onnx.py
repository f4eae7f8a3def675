"""Detectors in ONNX files, of every known format (see tests/drawn_detectors.py)."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from drawn_detectors import ALL, BOXES, LETTERBOXED, STRETCHED, Graph, image, rtmdet, yolox
from rsn.detection import open_detector
from rsn.errors import WeightsError


@pytest.mark.parametrize("name", ALL)
def test_onnx_detector_finds_persons(name: str, tmp_path: Path) -> None:
    boxes, scores = open_detector(ALL[name](tmp_path / name), device="cpu")(image())
    np.testing.assert_allclose(boxes, BOXES, atol=1e-3)
    assert (scores > 0.69).all()
    assert (np.diff(scores) <= 0).all()


@pytest.mark.parametrize("name", ALL)
def test_onnx_detector_scales_boxes_to_the_image(name: str, tmp_path: Path) -> None:
    boxes, _ = open_detector(ALL[name](tmp_path / name), device="cpu")(image(3))
    np.testing.assert_allclose(boxes, 3 * BOXES, atol=1e-2)


@pytest.mark.parametrize("name", LETTERBOXED)
def test_letterboxed_formats_keep_the_aspect_ratio(name: str, tmp_path: Path) -> None:
    """Only its first 32 columns: the first person is there in full, the second is cut off and not seen."""
    boxes, _ = open_detector(ALL[name](tmp_path / name), device="cpu")(image(2)[:, :64])
    np.testing.assert_allclose(boxes, 2 * BOXES[:1], atol=1e-2)


@pytest.mark.parametrize("name", STRETCHED)
def test_other_formats_stretch_the_image(name: str, tmp_path: Path) -> None:
    wide = image().repeat(2, 1)
    boxes, _ = open_detector(ALL[name](tmp_path / name), device="cpu")(wide)
    np.testing.assert_allclose(boxes, BOXES * (2, 1, 2, 1), atol=1e-2)


@pytest.mark.parametrize("name", ALL)
def test_onnx_detector_without_detections(name: str, tmp_path: Path) -> None:
    boxes, scores = open_detector(ALL[name](tmp_path / name), device="cpu")(np.zeros((50, 70, 3), np.uint8))
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


def test_mmdeploy_file_needs_a_name_with_its_family(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"end2end.onnx: mmdeploy writes RTMDet and YOLOX alike"):
        open_detector(rtmdet(tmp_path / "end2end.onnx"), device="cpu")


def test_onnx_detector_rejects_other_outputs(tmp_path: Path) -> None:
    graph = Graph()
    graph.node("GlobalAveragePool", "images", output="pooled")
    with pytest.raises(WeightsError, match=r"other.onnx: its outputs \(pooled \(1, 3, 1, 1\)\) are those of no family"):
        open_detector(graph.save(tmp_path / "other.onnx", ["pooled"]), device="cpu")


def test_input_without_fixed_size_is_640(tmp_path: Path) -> None:
    graph = Graph()
    graph.node("Identity", graph.constant(np.array([[0]])), output="labels")
    graph.node("Cast", graph.node("Shape", "images"), to=TensorProto.FLOAT, output="shape")
    ends = graph.node("Slice", "shape", *(graph.constant(np.array([at])) for at in (2, 4, 0)))
    corners = graph.node(
        "Concat",
        graph.constant(np.zeros(2, np.float32)),
        ends,
        graph.constant(np.ones(1, np.float32)),
        axis=0,
    )
    graph.node("Reshape", corners, graph.constant(np.array([1, 1, 5])), output="dets")
    path = graph.save(tmp_path / "rtmdet.onnx", ["dets", "labels"], dynamic=True)
    boxes, _ = open_detector(path, device="cpu")(np.zeros((320, 160, 3), np.uint8))
    np.testing.assert_allclose(boxes, [[0, 0, 160, 320]])


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x07" * 500])
def test_onnx_detector_rejects_other_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"broken.onnx: not an ONNX file that can be run") as caught:
        open_detector(path, device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing.onnx", "models/missing.onnx", "runs/gone.safetensors", "image.jpg"])
def test_open_detector_rejects_a_missing_file(name: str) -> None:
    with pytest.raises(WeightsError, match="there is no such detector"):
        open_detector(name)


def test_path_is_not_a_name_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    yolox(tmp_path / "models" / "yolox.onnx")
    monkeypatch.chdir(tmp_path)
    assert len(open_detector("models/yolox.onnx", device="cpu")(image())[0]) == 2
