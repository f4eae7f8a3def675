"""ONNX Runtime as a backend."""

import logging
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rsn.errors import DeviceError, WeightsError
from rsn.extras import require
from rsn.inference.backends import Backend
from rsn.inference.backends.graphs import MAX_BATCH, Graph, GraphSource
from rsn.inference.threads import thread_count
from rsn.io import cache

if TYPE_CHECKING:
    from rsn.models.inference_graph import InferenceGraph

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def onnxruntime_backend(source: GraphSource, device: str) -> Backend:
    """Run the graph in ONNX Runtime, on the CPU or (not tested) with its CUDA provider.

    Raises:
        MissingDependencyError: onnxruntime, onnx or onnxscript is not installed.
        DeviceError: this build has no provider for the device.
    """
    libraries = ("onnx", "onnxscript")
    require("onnxruntime", *libraries, extra="onnx", feature="backend onnxruntime")
    _provider(device)
    key = source.key("onnx", *map(version, libraries))
    graph = cache.load(key)
    if graph is None:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "graph.onnx"
            write_onnx(source.build(), path)
            graph = path.read_bytes()
        cache.store(key, graph)
    return open_onnx(graph, device).backend


def open_onnx(file: Path | bytes, device: str) -> Graph:
    """Open an ONNX file, or its content, in ONNX Runtime.

    Raises:
        MissingDependencyError: onnxruntime is not installed. DeviceError: it has no provider for the device.
        WeightsError: the file cannot be read.
    """
    require("onnxruntime", extra="onnx", feature="backend onnxruntime")
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = thread_count()
    number = device.partition(":")[2]
    options_of_provider = {"device_id": int(number or 0)} if device.startswith("cuda") else {}
    provider = _provider(device)
    try:
        session = onnxruntime.InferenceSession(file, options, providers=[(provider, options_of_provider)])
    except Exception as error:  # of many undocumented types
        name = file if isinstance(file, Path) else "the converted network"
        raise WeightsError(f"{name}: cannot be read by ONNX Runtime ({str(error).splitlines()[0]})") from error

    def run(crops: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        return tuple(session.run(None, {"crops": np.ascontiguousarray(crops)}))

    return Graph(run, dict(session.get_modelmeta().custom_metadata_map))


def write_onnx(graph: "InferenceGraph", path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write the graph as one ONNX file: input `crops` (batch, ...), the outputs by their names in the graph."""
    import torch

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


def _provider(device: str) -> str:
    import onnxruntime

    provider = _PROVIDERS.get(device.partition(":")[0])
    if provider is None or provider not in onnxruntime.get_available_providers():
        raise DeviceError(
            f"this build of onnxruntime cannot run on {device};"
            " install onnxruntime-gpu for CUDA, or choose backend torch"
        )
    return provider
