"""ONNX Runtime as a backend."""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rsn.errors import DeviceError, WeightsError
from rsn.extras import require
from rsn.inference.backends import Backend
from rsn.inference.backends.graphs import MAX_BATCH, Graph, converted
from rsn.models.inference_graph import InferenceGraph

FILE = "graph.onnx"
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def onnxruntime_backend(graph: InferenceGraph, device: torch.device) -> Backend:
    """Run the graph in ONNX Runtime, on the CPU or (not tested) with its CUDA provider.

    Raises:
        MissingDependencyError: onnxruntime, onnx or onnxscript is not installed.
        DeviceError: this build has no provider for the device.
    """
    require("onnxruntime", "onnx", "onnxscript", extra="onnx", feature="backend onnxruntime")
    _provider(device)
    folder = converted(graph, lambda at: write_onnx(graph, at / FILE), libraries=("onnx", "onnxscript"))
    return open_onnx(folder / FILE, device).backend


def open_onnx(path: Path, device: torch.device) -> Graph:
    """Open an ONNX file in ONNX Runtime.

    Raises:
        MissingDependencyError: onnxruntime is not installed. DeviceError: it has no provider for the device.
        WeightsError: the file cannot be read.
    """
    require("onnxruntime", extra="onnx", feature="backend onnxruntime")
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = torch.get_num_threads()
    options_of_provider = {"device_id": device.index or 0} if device.type == "cuda" else {}
    provider = _provider(device)
    try:
        session = onnxruntime.InferenceSession(path, options, providers=[(provider, options_of_provider)])
    except Exception as error:  # of many undocumented types
        raise WeightsError(f"{path}: cannot be read by ONNX Runtime ({str(error).splitlines()[0]})") from error

    def run(crops: Tensor) -> tuple[Tensor, ...]:
        outputs = session.run(None, {"crops": crops.cpu().contiguous().numpy()})
        return tuple(map(torch.from_numpy, outputs))

    return Graph(run, dict(session.get_modelmeta().custom_metadata_map))


def write_onnx(graph: InferenceGraph, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write the graph as one ONNX file: input `crops` (batch, ...), the outputs by their names in the graph."""
    shape: dict[int, Any] = {0: torch.export.Dim("batch", min=1, max=MAX_BATCH)}
    if graph.any_size:
        shape |= {2: 32 * torch.export.Dim("rows"), 3: 32 * torch.export.Dim("columns")}
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it reports that torchvision is missing
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # about torch's own code
            program = torch.onnx.export(
                graph.cpu(),
                (graph.example(),),
                dynamo=True,
                dynamic_shapes=(shape,),
                input_names=["crops"],
                output_names=list(graph.outputs),
                verbose=False,
            )
    finally:
        logger.setLevel(level)
    assert program is not None  # never with dynamo=True
    program.model.metadata_props.update(metadata or {})
    program.save(path, external_data=False)


def _provider(device: torch.device) -> str:
    import onnxruntime

    provider = _PROVIDERS.get(device.type)
    if provider is None or provider not in onnxruntime.get_available_providers():
        raise DeviceError(
            f"this build of onnxruntime cannot run on {device};"
            " install onnxruntime-gpu for CUDA, or choose backend torch"
        )
    return provider
