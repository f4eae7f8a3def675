"""The graph that is exported, and the formats in which it is written."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rsn.errors import UnknownNameError, WeightsError
from rsn.extras import require
from rsn.inference.backends.graphs import MAX_BATCH, Graph
from rsn.inference.exported import KEYS, Export
from rsn.models.inference_graph import InferenceGraph

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "torch-export": ".pt2"}
_LIBRARIES = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("openvino",)}


class ExportGraph(InferenceGraph):
    """The inference graph with the input and outputs of an export.

    Input: uint8 RGB crops, (N, 3, H, W), or (N, H, W, 3) with `preprocess`. Output: heatmaps (N, K, H/4, W/4) float32;
    with `decode` keypoints (N, K, 2) in pixels of the crop, raw scores (N, K), and the heatmaps, which flip tests and
    ensembles need.
    """

    def __init__(self, network: nn.Module, export: Export) -> None:
        super().__init__(network, export.metadata)
        self.preprocess, self.decode, self.codec = export.preprocess, export.decode, export.metadata.codec
        if export.decode:
            self.outputs = ("keypoints", "scores", "heatmaps")

    def arranged(self, crops: Tensor) -> Tensor:
        """Crops (N, 3, H, W) in the layout that the graph takes."""
        return crops.permute(0, 2, 3, 1).contiguous() if self.preprocess else crops

    def example(self) -> Tensor:
        return self.arranged(super().example())

    def forward(self, crops: Tensor) -> Any:
        heatmaps = super().forward(crops.permute(0, 3, 1, 2) if self.preprocess else crops)
        if not self.decode:
            return heatmaps
        return *self.codec.decode(heatmaps), heatmaps


def check_format(name: str, output: Path, export: Export) -> None:
    """Check that a file can be written, before any work is done.

    Raises:
        UnknownNameError: no such format. WeightsError: a suffix or precision that the format does not have.
        MissingDependencyError: a library that writes or runs it is not installed.
    """
    if name not in SUFFIXES:
        raise UnknownNameError("export format", name, list(SUFFIXES))
    if output.suffix != SUFFIXES[name]:
        raise WeightsError(f"{output}: format {name} is written to files named OUT{SUFFIXES[name]}")
    if export.precision == "int8":
        if name != "openvino":
            raise WeightsError(f"{output}: int8 is available for OpenVINO only; choose --format openvino")
        require("openvino", "nncf", extra="int8", feature="precision int8")
    require(*_LIBRARIES.get(name, ()), extra=name, feature=f"export to {name}")


def write_graph(name: str, graph: ExportGraph, path: Path, export: Export, calibration: Tensor | None = None) -> None:
    """Write a graph in a format; the weights of OpenVINO are in a .bin beside the file.

    calibration: (N, 3, H, W) uint8 RGB crops of people, for precision int8.
    """
    metadata = export.to_metadata()
    if name == "openvino":
        from rsn.inference.backends.openvino import as_openvino, quantized, save_openvino

        model = as_openvino(graph, metadata)
        if calibration is not None:
            model = quantized(model, graph.arranged(calibration).numpy())
        save_openvino(model, path, fp16=export.precision == "fp16")
        return
    if export.precision == "fp16":
        graph.set_precision(torch.float16)
    if name == "onnx":
        from rsn.inference.backends.onnxruntime import write_onnx

        write_onnx(graph, path, metadata)
    else:
        batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
        # Not strict: PyTorch's default since 2.8; the strict export of 2.7 does not take `tolist`.
        program = torch.export.export(graph, (graph.example(),), dynamic_shapes=({0: batch},), strict=False)
        torch.export.save(program, path, extra_files=dict(metadata))


def open_graph(name: str, path: Path) -> Graph:
    """Open a file that `write_graph` wrote, on the CPU; for files of unknown origin see `inference.exported`."""
    if name == "onnx":
        from rsn.inference.backends.onnxruntime import open_onnx

        return open_onnx(path, "cpu")
    if name == "openvino":
        from rsn.inference.backends.openvino import open_openvino

        return open_openvino(path, bf16=False)
    metadata: dict[str, Any] = dict.fromkeys(KEYS, "")
    program = torch.export.load(path, extra_files=metadata).module()

    def run(crops: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        outputs = program(torch.from_numpy(crops))
        return tuple(output.numpy() for output in ((outputs,) if isinstance(outputs, Tensor) else outputs))

    return Graph(run, metadata)
