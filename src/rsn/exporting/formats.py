"""The graph that is exported, and the formats that it is written in."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rsn.errors import UnknownNameError, WeightsError
from rsn.exporting.tensorrt import check_trtexec, open_engine, write_engine
from rsn.extras import require
from rsn.heatmaps import decode
from rsn.inference.engines.graphs import Graph
from rsn.inference.exported import KEYS, Export
from rsn.networks.deployment import Deployment
from rsn.networks.network import PoseNetwork

SUFFIXES = {
    "onnx": ".onnx",
    "openvino": ".xml",
    "torch-export": ".pt2",
    "torchscript": ".ts",
    "tensorrt": ".engine",
}
_LIBRARIES = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("openvino",),
    "tensorrt": ("onnx", "onnxscript"),
}
_MOST = 4096  # crops in a batch


class ExportGraph(Deployment):
    """The deployment graph, taking pictures and answering joints where the export says so.

    Input: uint8 RGB crops, (N, 3, H, W), or (N, H, W, 3) with `preprocess`. Output: heatmaps (N, K, H/4, W/4) float32;
    with `decode` keypoints (N, K, 2) in pixels of the crop, scores (N, K), and the heatmaps, which flip tests and
    ensembles need.
    """

    def __init__(self, network: PoseNetwork, export: Export) -> None:
        super().__init__(network, export.card)
        self.preprocess, self.decode = export.preprocess, export.decode
        if export.decode:
            self.outputs = ("keypoints", "scores", "heatmaps")

    def arranged(self, crops: Tensor) -> Tensor:
        """Crops (N, 3, H, W) as the graph takes them."""
        return crops.permute(0, 2, 3, 1).contiguous() if self.preprocess else crops

    def example(self) -> Tensor:
        return self.arranged(super().example())

    def forward(self, crops: Tensor) -> Any:
        heatmaps = super().forward(crops.permute(0, 3, 1, 2) if self.preprocess else crops)
        if not self.decode:
            return heatmaps
        return *decode(heatmaps, kernel=self.card.blur, decoder=self.card.decoder), heatmaps


def check_format(name: str, output: Path, export: Export) -> None:
    """Refuse what cannot be written, before any work is done.

    Raises:
        UnknownNameError: no such format. WeightsError: a file name, a precision or a layout that does not go with it.
        DeviceError: what writes or runs it is not installed.
    """
    if name not in SUFFIXES:
        raise UnknownNameError("export format", name, list(SUFFIXES))
    if output.suffix != SUFFIXES[name]:
        raise WeightsError(f"{output}: format {name} is written to files named OUT{SUFFIXES[name]}")
    if name == "tensorrt":
        check_trtexec(export.card.input_size)
        if export.preprocess:
            raise WeightsError(
                f"{output}: TensorRT does not turn uint8 pictures over; leave out --preprocess"
            )
    require(*_LIBRARIES.get(name, ()), extra="engines", for_what=f"export to {name}")
    if export.precision == "int8":
        if name != "openvino":
            raise WeightsError(f"{output}: int8 is written for OpenVINO alone; choose --format openvino")
        require("nncf", extra="int8", for_what="precision int8")


def write_graph(
    name: str, graph: ExportGraph, path: Path, export: Export, calibration: Tensor | None = None
) -> None:
    """Write a graph in a format; OpenVINO's numbers go to a .bin beside the file.

    calibration: (N, 3, H, W) uint8 RGB crops of people, which precision int8 needs.
    """
    if calibration is not None:
        _write_int8(graph, path, export, calibration)
        return
    if export.precision == "fp16" and name != "openvino":
        graph.network.half()
    _WRITERS[name](graph, path, export)


def open_graph(name: str, path: Path) -> Graph:
    """What was just written, run on the CPU by what will run it. Not for the files of others, see `exported`."""
    return _READERS[name](path)


def _write_onnx(graph: ExportGraph, path: Path, export: Export) -> None:
    from rsn.inference.engines.onnxruntime import write_onnx

    write_onnx(graph, path, export.to_metadata())


def _write_openvino(graph: ExportGraph, path: Path, export: Export) -> None:
    from rsn.inference.engines.openvino import write_openvino

    write_openvino(graph, path, export.to_metadata(), fp16=export.precision == "fp16")


def _write_tensorrt(graph: ExportGraph, path: Path, export: Export) -> None:
    onnx = path.with_suffix(".onnx")
    _write_onnx(graph, onnx, export)
    write_engine(onnx, path, graph.example().shape[1:], export.precision)
    onnx.unlink()


def _write_int8(graph: ExportGraph, path: Path, export: Export, calibration: Tensor) -> None:
    from rsn.exporting.int8 import quantised
    from rsn.inference.engines.openvino import as_openvino, save_openvino

    model = as_openvino(graph, export.to_metadata())
    save_openvino(quantised(model, graph.arranged(calibration)), path)


def _write_torch_export(graph: ExportGraph, path: Path, export: Export) -> None:
    batch = torch.export.Dim("batch", min=1, max=_MOST)
    program = torch.export.export(graph, (graph.example(),), dynamic_shapes=({0: batch},))
    torch.export.save(program, path, extra_files=dict(export.to_metadata()))


def _write_torchscript(graph: ExportGraph, path: Path, export: Export) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # about shapes that become constants, which they are; about its old age
        # Without its own check, since `run` compares what was written.
        program = torch.jit.trace(graph, (graph.example(),), check_trace=False)  # type: ignore[no-untyped-call]
        program.save(str(path), _extra_files=export.to_metadata())


def _read_onnx(path: Path) -> Graph:
    from rsn.inference.engines.onnxruntime import open_onnx

    return open_onnx(path, torch.device("cpu"))


def _read_openvino(path: Path) -> Graph:
    from rsn.inference.engines.openvino import open_openvino

    return open_openvino(path, bf16=False)


def _read_torch_export(path: Path) -> Graph:
    metadata: dict[str, Any] = dict.fromkeys(KEYS, "")
    program = torch.export.load(path, extra_files=metadata).module()
    return Graph(_answers_of(program), metadata)


def _read_torchscript(path: Path) -> Graph:
    metadata: dict[str, Any] = dict.fromkeys(KEYS, "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its old age
        program = torch.jit.load(str(path), _extra_files=metadata)  # type: ignore[no-untyped-call]
    return Graph(_answers_of(program), {key: _text(value) for key, value in metadata.items()})


def _answers_of(program: Callable[[Tensor], Any]) -> Callable[[Tensor], tuple[Tensor, ...]]:
    def run(crops: Tensor) -> tuple[Tensor, ...]:
        answers = program(crops)
        return (answers,) if isinstance(answers, Tensor) else tuple(answers)

    return run


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


_WRITERS = {
    "onnx": _write_onnx,
    "openvino": _write_openvino,
    "torch-export": _write_torch_export,
    "torchscript": _write_torchscript,
    "tensorrt": _write_tensorrt,
}
_READERS = {
    "onnx": _read_onnx,
    "openvino": _read_openvino,
    "torch-export": _read_torch_export,
    "torchscript": _read_torchscript,
    "tensorrt": open_engine,
}
