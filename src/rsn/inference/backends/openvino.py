"""OpenVINO as a backend: the fastest that we measured on CPUs."""

import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rsn.errors import DeviceError, WeightsError
from rsn.extras import require
from rsn.inference.backends import Backend
from rsn.inference.backends.graphs import Graph, converted
from rsn.models.inference_graph import InferenceGraph

FILE = "graph.xml"
_TELEMETRY = "openvino_telemetry"
# By the names that OpenVINO gives them: all that is not of the network, which is normalizing and decoding.
_IN_FLOAT = [r"^(?!__module\.network\.).*"]


def openvino_backend(graph: InferenceGraph, *, bf16: bool) -> Backend:
    """Run the graph in OpenVINO on the CPU, by as many threads as PyTorch would.

    Raises:
        MissingDependencyError: OpenVINO is not installed.
        DeviceError: bfloat16 was asked for and the processor has none.
    """
    _check(bf16)
    folder = converted(
        graph, lambda at: save_openvino(as_openvino(graph), at / FILE), libraries=("openvino",)
    )
    return open_openvino(folder / FILE, bf16=bf16).backend


def open_openvino(path: Path, *, bf16: bool) -> Graph:
    """An OpenVINO file (.xml, its .bin beside it) or an ONNX file, ready to run in OpenVINO on the CPU.

    Raises:
        MissingDependencyError: OpenVINO is not installed.
        DeviceError: bfloat16 was asked for and the processor has none.
        WeightsError: it cannot read the file.
    """
    _check(bf16)
    try:
        model = _core().read_model(path)
        requests_of = cache(partial(_requests, model, "bf16" if bf16 else "f32"))
        requests_of(1)
    except RuntimeError as error:
        reason = next((line for line in reversed(str(error).splitlines()) if line.strip()), "no reason given")
        raise WeightsError(f"{path}: cannot be read by OpenVINO ({reason.strip()})") from error

    def run(crops: Tensor) -> tuple[Tensor, ...]:
        threads = torch.get_num_threads()
        requests = requests_of(threads if len(crops) >= threads else 1)
        parts = np.array_split(crops.cpu().contiguous().numpy(), len(requests))
        started = []
        try:
            for request, part in zip(requests, parts, strict=True):
                request.start_async([part], share_inputs=True)
                started.append(request)
        finally:  # an interrupted run, as by Ctrl-C in a notebook, leaves none of them busy
            for request in started:
                request.wait()
        answers = (
            [torch.from_numpy(output.data) for output in request.output_tensors] for request in requests
        )
        return tuple(map(torch.cat, zip(*answers, strict=True)))

    return Graph(run, _metadata(model))


def _requests(model: Any, precision: str, streams: int) -> list[Any]:
    """The graph ready to run on all threads, in streams of as many threads each.

    Threads of one stream wait for each other after every operation, which is lost time, and much of it where they
    share the cores with threads that read and draw. So a batch is cut into a piece a thread; a crop that comes alone
    is done soonest by all of them.
    """
    settings = {
        "INFERENCE_PRECISION_HINT": precision,  # its own choice would depend on the processor
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    compiled = _core().compile_model(model, "CPU", settings)
    return [compiled.create_infer_request() for _ in range(streams)]


def save_openvino(model: Any, path: Path, *, fp16: bool = False) -> None:
    """Write an `openvino.Model` as .xml and .bin; fp16: with its weights in float16."""
    import openvino  # type: ignore[import-untyped]

    openvino.save_model(model, path, compress_to_fp16=fp16)


def as_openvino(graph: InferenceGraph, metadata: Mapping[str, str] | None = None) -> Any:
    """The graph as an `openvino.Model`: `crops` (batch, ...) as the graph takes them -> its outputs by name."""
    example = graph.example()
    with _without_telemetry(), warnings.catch_warnings():
        import openvino

        warnings.simplefilter("ignore")  # about shapes that become constants, which they are
        model = openvino.convert_model(graph.cpu(), example_input=example)
    model.reshape([-1, *example.shape[1:]])
    model.inputs[0].get_tensor().set_names({"crops"})
    for output, name in zip(model.outputs, graph.outputs, strict=True):
        output.get_tensor().set_names({name})
    for key, value in (metadata or {}).items():
        model.set_rt_info(value, key)
    return model


def quantized(model: Any, crops: Tensor) -> Any:
    """An `openvino.Model` with the network's weights and feature maps in 8 bits, by NNCF.

    Each output channel of a weight has a scale of its own. A feature map has one, whose range is measured on `crops`;
    it starts at zero where nothing is negative ("mixed"), and the mean error that rounding leaves in a layer is
    taken off its bias. What is before and after the network stays in float32.

    Args:
        model: of a `InferenceGraph`.
        crops: (N, ...) uint8, as the graph takes them; of people that are not used to evaluate it.
    """
    with _without_telemetry():
        import nncf

        nncf.set_log_level("ERROR")
        return nncf.quantize(
            model,
            nncf.Dataset(list(crops[:, None].numpy())),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(crops),
            ignored_scope=nncf.IgnoredScope(patterns=_IN_FLOAT),
        )


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Hide the library by which OpenVINO and NNCF report conversions to their makers, without having asked.

    They look for it when they are imported.
    """
    present = _TELEMETRY in sys.modules
    before = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_TELEMETRY]
        if present:
            sys.modules[_TELEMETRY] = before  # type: ignore[assignment]


def _metadata(model: Any) -> dict[str, str]:
    """What an OpenVINO file has in its rt_info, or an ONNX file in its metadata, which OpenVINO calls framework."""
    info = dict(model.rt_info)
    framework = info.get("framework", {})
    info |= framework if isinstance(framework, dict) else {}
    values = {key: getattr(value, "value", value) for key, value in info.items()}
    return {key: value for key, value in values.items() if isinstance(value, str)}


@cache
def _core() -> Any:
    """The one of this process, which is never given up.

    OpenVINO's CPU plugin gives the thread that loads it another stack for signals, and unmaps that stack when it is
    destroyed, be it by another thread; the first thread's next signal, a child that ended say, would then kill the
    process.
    """
    with _without_telemetry():
        import openvino

    return openvino.Core()


def _check(bf16: bool) -> None:
    require("openvino", extra="backends", feature="backend openvino")
    # Without this OpenVINO would quietly take float32.
    if bf16 and "BF16" not in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise DeviceError("this processor does not compute in bfloat16; choose backend openvino")
