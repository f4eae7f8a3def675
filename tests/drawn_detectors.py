"""Detectors as ONNX files: small graphs that detect two drawn people.

Each looks at one pixel in each of two places of its input and scores a person by the color there; the boxes are
fixed. So a score of 1 says that the pixels arrived in the right place, channel order and normalization.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = (96, 64)  # of the inputs
COLOR = (210, 110, 40)  # RGB of people in the image
BOXES = np.array([[4.0, 8, 20, 40], [34, 10, 24, 50]])  # x, y, width, height in input pixels


def image(scale: int = 1) -> np.ndarray:
    """An image of both people at their boxes, `scale` times the input size."""
    image = np.zeros((*SIZE, 3), np.uint8)
    for x, y, box_width, box_height in BOXES.astype(int):
        image[y : y + box_height, x : x + box_width] = COLOR
    return image.repeat(scale, 0).repeat(scale, 1)


class Graph:
    """Builds an ONNX graph; each method adds a node and returns the name of its output."""

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

    def seen(self, image: str, color: np.ndarray, tolerance: float) -> str:
        """(1, 2): 1 for each person whose center has this color in the input, else 0."""
        centers = (BOXES[:, :2] + BOXES[:, 2:] / 2).astype(np.int64)
        indices = np.array([[0, c, y, x] for x, y in centers for c in range(3)])
        pixels = self.node("GatherND", image, self.constant(indices))
        expected = self.constant(np.tile(color, 2).astype(np.float32))
        distance = self.node("Abs", self.node("Sub", pixels, expected))
        close = self.node("Less", distance, self.constant(np.float32(tolerance)))
        both = self.node("Reshape", self.node("Cast", close, to=TensorProto.FLOAT), self.constant(np.array([1, 2, 3])))
        return self.node("ReduceMin", both, self.constant(np.array([2])), keepdims=0)

    def save(
        self, path: Path, outputs: list[str], *, inputs: dict[str, int] | None = None, dynamic: bool = False
    ) -> Path:
        shape = [1, 3, "height", "width"] if dynamic else [1, 3, *SIZE]
        feeds = [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)]
        feeds += [helper.make_tensor_value_info(name, kind, [1, 2]) for name, kind in (inputs or {}).items()]
        kinds = {"labels": TensorProto.INT64}
        answers = [helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), None) for name in outputs]
        graph = helper.make_graph(self.nodes, "detector", feeds, answers, self.constants)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
        return path


def _middles() -> np.ndarray:
    return np.hstack([BOXES[:, :2] + BOXES[:, 2:] / 2, BOXES[:, 2:]]).astype(np.float32)


def _corners() -> np.ndarray:
    return np.hstack([BOXES[:, :2], BOXES[:, :2] + BOXES[:, 2:]]).astype(np.float32)


def yolox(path: Path, *, decoded: bool = False, classes: int = 80) -> Path:
    """Rows of every cell; each person is in two adjacent rows, so that one is a duplicate."""
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
    seen = graph.seen("images", np.array(COLOR[::-1]), 1.0)
    spread = np.zeros((2, len(cells)), np.float32)
    spread[[0, 0, 1, 1], chosen] = [0.9, 0.8, 0.7, 0.6]
    scores = graph.node(
        "Reshape", graph.node("MatMul", seen, graph.constant(spread)), graph.constant(np.array([1, -1, 1]))
    )
    person = np.zeros((1, len(cells), classes), np.float32)
    person[..., 0] = 1
    graph.node("Concat", graph.constant(rows), scores, graph.constant(person), axis=2, output="output")
    return graph.save(path, ["output"])


def mmdeploy(path: Path, color: np.ndarray, tolerance: float) -> Path:
    graph = Graph()
    seen = graph.node("Reshape", graph.seen("images", color, tolerance), graph.constant(np.array([1, 2, 1])))
    people = graph.node("Concat", graph.constant(_corners()[None]), seen, axis=2)
    dog = graph.constant(np.array([[[1, 1, 50, 50, 0.99]]], np.float32))
    graph.node("Concat", people, dog, axis=1, output="dets")
    graph.node("Identity", graph.constant(np.array([[0, 0, 16]])), output="labels")
    return graph.save(path, ["dets", "labels"])


def deployed_detr(path: Path) -> Path:
    """Boxes in pixels of the requested size, as RT-DETR and D-FINE export them."""
    graph = Graph()
    parts = graph.constant((_corners() / np.tile(SIZE[::-1], 2))[None].astype(np.float32))
    size = graph.node("Cast", "orig_target_sizes", to=TensorProto.FLOAT)
    twice = graph.node("Reshape", graph.node("Concat", size, size, axis=1), graph.constant(np.array([1, 1, 4])))
    graph.node("Mul", parts, twice, output="boxes")
    graph.node("Identity", graph.seen("images", np.array(COLOR) / 255, 0.01), output="scores")
    graph.node("Identity", graph.constant(np.array([[0, 0]])), output="labels")
    return graph.save(path, ["labels", "boxes", "scores"], inputs={"orig_target_sizes": TensorProto.INT64})


def query_detr(path: Path) -> Path:
    graph = Graph()
    parts = (_middles() / np.tile(SIZE[::-1], 2))[None].astype(np.float32)
    graph.node("Identity", graph.constant(parts), output="pred_boxes")
    seen = graph.node("Reshape", graph.seen("images", np.array(COLOR) / 255, 0.01), graph.constant(np.array([1, 2, 1])))
    people = graph.node("Sub", graph.node("Mul", seen, graph.constant(np.float32(12))), graph.constant(np.float32(6)))
    others = graph.constant(np.full((1, 2, 79), 5, np.float32))
    graph.node("Concat", people, others, axis=2, output="logits")
    return graph.save(path, ["logits", "pred_boxes"])


def rtmdet(path: Path) -> Path:
    normal = (np.array(COLOR[::-1]) - [103.53, 116.28, 123.675]) / [57.375, 57.12, 58.395]
    return mmdeploy(path, normal, 0.02)


def mm_yolox(path: Path) -> Path:
    return mmdeploy(path, np.array(COLOR[::-1]), 1.0)


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
