"""Detectors in ONNX files. The files are small graphs that know nothing but two people, of whom they find what shows.

Each looks at one pixel in each of two places of its input and scores a person by the colour there; the boxes are
fixed. So a score of 1 says that the pixels arrived in the right place, channel order and normalisation.
"""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rsn.errors import WeightsError
from rsn.inference.detection import open_detector

SIZE = (96, 64)  # of the inputs
COLOUR = (210, 110, 40)  # RGB of people in the picture
BOXES = np.array([[4.0, 8, 20, 40], [34, 10, 24, 50]])  # x, y, width, height in input pixels


def _picture(scale: int = 1) -> np.ndarray:
    """Both people, drawn at their boxes, `scale` times as large as the input has them."""
    image = np.zeros((*SIZE, 3), np.uint8)
    for x, y, box_width, box_height in BOXES.astype(int):
        image[y : y + box_height, x : x + box_width] = COLOUR
    return image.repeat(scale, 0).repeat(scale, 1)


class Graph:
    """An ONNX graph in the making; every method adds a node and gives its output's name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: np.ndarray) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind: str, *inputs: str, output: str = "", **settings: object) -> str:
        name = output or f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **settings))
        return name

    def seen(self, picture: str, colour: np.ndarray, tolerance: float) -> str:
        """(1, 2): 1 for each person in whose middle the input has this colour in its channels, else 0."""
        middles = (BOXES[:, :2] + BOXES[:, 2:] / 2).astype(np.int64)
        indices = np.array([[0, c, y, x] for x, y in middles for c in range(3)])
        pixels = self.node("GatherND", picture, self.constant(indices))
        expected = self.constant(np.tile(colour, 2).astype(np.float32))
        distance = self.node("Abs", self.node("Sub", pixels, expected))
        close = self.node("Less", distance, self.constant(np.float32(tolerance)))
        both = self.node(
            "Reshape", self.node("Cast", close, to=TensorProto.FLOAT), self.constant(np.array([1, 2, 3]))
        )
        return self.node("ReduceMin", both, self.constant(np.array([2])), keepdims=0)

    def save(
        self, path: Path, outputs: list[str], *, inputs: dict[str, int] | None = None, dynamic: bool = False
    ) -> Path:
        shape = [1, 3, "height", "width"] if dynamic else [1, 3, *SIZE]
        feeds = [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)]
        feeds += [helper.make_tensor_value_info(name, kind, [1, 2]) for name, kind in (inputs or {}).items()]
        kinds = {"labels": TensorProto.INT64}
        answers = [
            helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), None) for name in outputs
        ]
        graph = helper.make_graph(self.nodes, "detector", feeds, answers, self.constants)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
        return path


def _middles() -> np.ndarray:
    return np.hstack([BOXES[:, :2] + BOXES[:, 2:] / 2, BOXES[:, 2:]]).astype(np.float32)


def _corners() -> np.ndarray:
    return np.hstack([BOXES[:, :2], BOXES[:, :2] + BOXES[:, 2:]]).astype(np.float32)


def yolox(path: Path, *, decoded: bool = False, classes: int = 80) -> Path:
    """Rows of every cell; each person stands in two neighbouring rows, so one of them is a double."""
    height, width = SIZE
    cells = [(s, x, y) for s in (8, 16, 32) for y in range(height // s) for x in range(width // s)]
    grid = np.array(cells, np.float32)
    rows = np.zeros((1, len(cells), 4), np.float32)
    chosen = [5, 6, 20, 21]
    for row, (x, y, box_width, box_height) in zip(chosen, np.repeat(_middles(), 2, 0), strict=True):
        stride, column, line = cells[row]
        rows[0, row] = [
            x / stride - column,
            y / stride - line,
            *np.log([box_width / stride, box_height / stride]),
        ]
    if decoded:
        rows[0, :, :2] = (rows[0, :, :2] + grid[:, 1:]) * grid[:, :1]
        rows[0, :, 2:] = np.exp(rows[0, :, 2:]) * grid[:, :1]
    graph = Graph()
    seen = graph.seen("images", np.array(COLOUR[::-1]), 1.0)
    spread = np.zeros((2, len(cells)), np.float32)
    spread[[0, 0, 1, 1], chosen] = [0.9, 0.8, 0.7, 0.6]
    scores = graph.node(
        "Reshape", graph.node("MatMul", seen, graph.constant(spread)), graph.constant(np.array([1, -1, 1]))
    )
    person = np.zeros((1, len(cells), classes), np.float32)
    person[..., 0] = 1
    graph.node("Concat", graph.constant(rows), scores, graph.constant(person), axis=2, output="output")
    return graph.save(path, ["output"])


def mmdeploy(path: Path, colour: np.ndarray, tolerance: float) -> Path:
    graph = Graph()
    seen = graph.node("Reshape", graph.seen("images", colour, tolerance), graph.constant(np.array([1, 2, 1])))
    people = graph.node("Concat", graph.constant(_corners()[None]), seen, axis=2)
    dog = graph.constant(np.array([[[1, 1, 50, 50, 0.99]]], np.float32))
    graph.node("Concat", people, dog, axis=1, output="dets")
    graph.node("Identity", graph.constant(np.array([[0, 0, 16]])), output="labels")
    return graph.save(path, ["dets", "labels"])


def deployed_detr(path: Path) -> Path:
    """Boxes in the pixels of the size that is asked for, as the exporters of RT-DETR and D-FINE have it."""
    graph = Graph()
    parts = graph.constant((_corners() / np.tile(SIZE[::-1], 2))[None].astype(np.float32))
    size = graph.node("Cast", "orig_target_sizes", to=TensorProto.FLOAT)
    twice = graph.node(
        "Reshape", graph.node("Concat", size, size, axis=1), graph.constant(np.array([1, 1, 4]))
    )
    graph.node("Mul", parts, twice, output="boxes")
    graph.node("Identity", graph.seen("images", np.array(COLOUR) / 255, 0.01), output="scores")
    graph.node("Identity", graph.constant(np.array([[0, 0]])), output="labels")
    return graph.save(path, ["labels", "boxes", "scores"], inputs={"orig_target_sizes": TensorProto.INT64})


def query_detr(path: Path) -> Path:
    graph = Graph()
    parts = (_middles() / np.tile(SIZE[::-1], 2))[None].astype(np.float32)
    graph.node("Identity", graph.constant(parts), output="pred_boxes")
    seen = graph.node(
        "Reshape", graph.seen("images", np.array(COLOUR) / 255, 0.01), graph.constant(np.array([1, 2, 1]))
    )
    people = graph.node(
        "Sub", graph.node("Mul", seen, graph.constant(np.float32(12))), graph.constant(np.float32(6))
    )
    others = graph.constant(np.full((1, 2, 79), 5, np.float32))
    graph.node("Concat", people, others, axis=2, output="logits")
    return graph.save(path, ["logits", "pred_boxes"])


def rtmdet(path: Path) -> Path:
    normal = (np.array(COLOUR[::-1]) - [103.53, 116.28, 123.675]) / [57.375, 57.12, 58.395]
    return mmdeploy(path, normal, 0.02)


def mm_yolox(path: Path) -> Path:
    return mmdeploy(path, np.array(COLOUR[::-1]), 1.0)


def decoded_yolox(path: Path) -> Path:
    return yolox(path, decoded=True)


def one_class_yolox(path: Path) -> Path:
    return yolox(path, classes=1)


LETTERBOXED = {
    "yolox.onnx": yolox, "decoded.onnx": decoded_yolox, "people.onnx": one_class_yolox, "rtmdet_m.onnx": rtmdet,
    "yolox_mm.onnx": mm_yolox,
}  # fmt: skip
STRETCHED = {"deployed.onnx": deployed_detr, "queries.onnx": query_detr}
ALL = LETTERBOXED | STRETCHED


@pytest.mark.parametrize("name", ALL)
def test_people_are_found_where_they_are(name: str, tmp_path: Path) -> None:
    boxes, scores = open_detector(ALL[name](tmp_path / name), device="cpu")(_picture())
    np.testing.assert_allclose(boxes, BOXES, atol=1e-3)
    assert (scores > 0.69).all()
    assert (np.diff(scores) <= 0).all()


@pytest.mark.parametrize("name", ALL)
def test_a_larger_picture_is_brought_to_the_input_and_its_boxes_back(name: str, tmp_path: Path) -> None:
    boxes, _ = open_detector(ALL[name](tmp_path / name), device="cpu")(_picture(3))
    np.testing.assert_allclose(boxes, 3 * BOXES, atol=1e-2)


@pytest.mark.parametrize("name", LETTERBOXED)
def test_a_narrow_picture_keeps_its_aspect(name: str, tmp_path: Path) -> None:
    """Only its first 32 columns: the first person is there in full, the second is cut off and not seen."""
    boxes, _ = open_detector(ALL[name](tmp_path / name), device="cpu")(_picture(2)[:, :64])
    np.testing.assert_allclose(boxes, 2 * BOXES[:1], atol=1e-2)


@pytest.mark.parametrize("name", STRETCHED)
def test_these_stretch_the_picture(name: str, tmp_path: Path) -> None:
    wide = _picture().repeat(2, 1)
    boxes, _ = open_detector(ALL[name](tmp_path / name), device="cpu")(wide)
    np.testing.assert_allclose(boxes, BOXES * (2, 1, 2, 1), atol=1e-2)


@pytest.mark.parametrize("name", ALL)
def test_nobody_there_is_nobody_found(name: str, tmp_path: Path) -> None:
    boxes, scores = open_detector(ALL[name](tmp_path / name), device="cpu")(np.zeros((50, 70, 3), np.uint8))
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


def test_mmdeploy_files_must_say_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"end2end.onnx: mmdeploy writes RTMDet and YOLOX alike"):
        open_detector(rtmdet(tmp_path / "end2end.onnx"), device="cpu")


def test_other_outputs_get_one_sentence(tmp_path: Path) -> None:
    graph = Graph()
    graph.node("GlobalAveragePool", "images", output="pooled")
    with pytest.raises(
        WeightsError, match=r"other.onnx: its outputs \(pooled \(1, 3, 1, 1\)\) are those of no family"
    ):
        open_detector(graph.save(tmp_path / "other.onnx", ["pooled"]), device="cpu")


def test_an_input_of_open_size_is_640(tmp_path: Path) -> None:
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
def test_what_is_no_onnx_gets_one_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"broken.onnx: not an ONNX file that can be run") as caught:
        open_detector(path, device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing.onnx", "models/missing.onnx", "photo.jpg"])
def test_a_file_that_is_not_there(name: str) -> None:
    with pytest.raises(WeightsError, match="there is no such detector"):
        open_detector(name)
