"""OpenVINO as a backend, the fastest of those measured on CPUs."""

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rsn.errors import DeviceError, WeightsError
from rsn.extras import require
from rsn.inference.backends import Backend
from rsn.inference.backends.graphs import Graph, GraphSource
from rsn.inference.threads import thread_count
from rsn.io import cache as file_cache
from rsn.io.machine import processor_name

if TYPE_CHECKING:
    from rsn.models.inference_graph import InferenceGraph

_TELEMETRY = "openvino_telemetry"
# Names in OpenVINO of everything outside the network: normalization and decoding.
_IN_FLOAT = [r"^(?!__module\.network\.).*"]

Compile = Callable[[dict[str, Any]], Any]  # settings of the CPU plugin -> the compiled graph
Run = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], ...]]


def openvino_backend(source: GraphSource, *, bf16: bool) -> Backend:
    """Run the graph in OpenVINO on the CPU, with as many threads as PyTorch would use.

    The cache has it as OpenVINO compiled it for this processor.

    Raises:
        MissingDependencyError: OpenVINO is not installed.
        DeviceError: the processor does not compute in bfloat16.
    """
    _check(bf16)
    precision = "bf16" if bf16 else "f32"
    key = source.key("openvino", version("openvino"), precision, processor_name())
    compiled = file_cache.load(key)
    if compiled is None:
        model = as_openvino(source.build())
        buffer = BytesIO()
        _core().compile_model(model, "CPU", _settings(precision, 1)).export_model(buffer)
        compiled = buffer.getvalue()
        file_cache.store(key, compiled)
    run = _runner(partial(_core().import_model, compiled, "CPU"), precision)
    return lambda crops: run(crops)[-1]


def open_openvino(path: Path, *, bf16: bool) -> Graph:
    """Open an OpenVINO file (.xml with its .bin beside it) or an ONNX file in OpenVINO on the CPU.

    Raises:
        MissingDependencyError: OpenVINO is not installed.
        DeviceError: the processor does not compute in bfloat16.
        WeightsError: the file cannot be read.
    """
    _check(bf16)
    try:
        model = _core().read_model(path)
        run = _runner(partial(_core().compile_model, model, "CPU"), "bf16" if bf16 else "f32")
    except RuntimeError as error:
        reason = next((line for line in reversed(str(error).splitlines()) if line.strip()), "no reason given")
        raise WeightsError(f"{path}: cannot be read by OpenVINO ({reason.strip()})") from error
    return Graph(run, _metadata(model))


def _runner(compile: Compile, precision: str) -> Run:
    """A function that runs the graph on crops, in one or several streams."""

    @cache
    def queue_of(streams: int) -> Any:
        """The graph, compiled for a number of streams, which share all threads, as an `AsyncInferQueue`.

        The threads of one stream wait for each other after every operation, which takes long if other threads use the
        same cores. So streams of one thread each take one crop after the other; what is left of a batch, fewer crops
        than threads, is fastest in one stream.
        """
        import openvino  # type: ignore[import-untyped]

        return openvino.AsyncInferQueue(compile(_settings(precision, streams)), streams)

    def run(crops: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        threads = thread_count()
        pixels = np.ascontiguousarray(crops)
        whole = len(pixels) // threads * threads
        outputs = _outputs(queue_of(threads), list(pixels[:whole, None])) if whole else []
        if whole < len(pixels):
            outputs += _outputs(queue_of(1), [pixels[whole:]])
        return tuple(map(np.concatenate, zip(*outputs, strict=True)))

    queue_of(1)
    return run


def _settings(precision: str, streams: int) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": precision,  # its own choice would depend on the processor
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": thread_count(),
    }


def _outputs(queue: Any, batches: Sequence[NDArray[np.uint8]]) -> list[tuple[NDArray[np.float32], ...]]:
    """All outputs of the graph for each batch."""
    outputs: dict[int, tuple[NDArray[np.float32], ...]] = {}

    def keep(request: Any, number: int) -> None:
        # The next batch overwrites the memory of the request.
        outputs[number] = tuple(output.data.copy() for output in request.output_tensors)

    queue.set_callback(keep)
    try:
        for number, batch in enumerate(batches):
            queue.start_async([batch], number, share_inputs=True)
    finally:  # nothing runs on after Ctrl-C in a notebook
        queue.wait_all()
    return [outputs[number] for number in range(len(batches))]


def save_openvino(model: Any, path: Path, *, fp16: bool = False) -> None:
    """Write an `openvino.Model` as .xml and .bin; fp16: store the weights in float16."""
    import openvino

    openvino.save_model(model, path, compress_to_fp16=fp16)


def as_openvino(graph: "InferenceGraph", metadata: Mapping[str, str] | None = None) -> Any:
    """The graph as an `openvino.Model`: input `crops` (batch, ...), the outputs by their names in the graph."""
    example = graph.example()
    with _without_telemetry(), warnings.catch_warnings():
        import openvino
        import torch

        warnings.simplefilter("ignore")  # about shapes, which are constants here
        # OpenVINO would trace it twice, to compare both traces, and look up every parameter anew for each of its uses.
        traced = torch.jit.trace(graph.cpu(), example, check_trace=False)  # type: ignore[no-untyped-call]
        model = openvino.convert_model(torch.jit.freeze(traced, optimize_numerics=False), example_input=example)
    model.reshape([-1, 3, -1, -1] if graph.any_size else [-1, *example.shape[1:]])
    model.inputs[0].get_tensor().set_names({"crops"})
    for output, name in zip(model.outputs, graph.outputs, strict=True):
        output.get_tensor().set_names({name})
    for key, value in (metadata or {}).items():
        model.set_rt_info(value, key)
    return model


def quantized(model: Any, crops: NDArray[np.uint8]) -> Any:
    """Quantize the network's weights and feature maps to 8 bits, with NNCF.

    Each output channel of a weight has its own scale. A feature map has one scale; its range is measured on `crops` and
    starts at zero if no value is negative ("mixed"). The mean rounding error of a layer is subtracted from its bias.
    Normalization and decoding stay in float32.

    Args:
        model: an `openvino.Model` of an `InferenceGraph`.
        crops: (N, ...) uint8, as the graph takes them, of people that are not in the evaluation set.
    """
    with _without_telemetry():
        import nncf

        nncf.set_log_level("ERROR")
        return nncf.quantize(
            model,
            nncf.Dataset(list(crops[:, None])),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(crops),
            ignored_scope=nncf.IgnoredScope(patterns=_IN_FLOAT),
        )


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Hide the library with which OpenVINO and NNCF report conversions to their makers without asking.

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
    """The rt_info of an OpenVINO file, or the metadata of an ONNX file, which OpenVINO calls framework."""
    info = dict(model.rt_info)
    framework = info.get("framework", {})
    info |= framework if isinstance(framework, dict) else {}
    values = {key: getattr(value, "value", value) for key, value in info.items()}
    return {key: value for key, value in values.items() if isinstance(value, str)}


@cache
def _core() -> Any:
    """The `openvino.Core` of this process, which is never destroyed.

    OpenVINO's CPU plugin sets a signal stack for the thread that loads it, and unmaps it when it is destroyed, even by
    another thread; the next signal of the first thread, such as SIGCHLD, would then kill the process.
    """
    with _without_telemetry():
        import openvino

    return openvino.Core()


def _check(bf16: bool) -> None:
    require("openvino", extra="openvino", feature="backend openvino")
    # Otherwise OpenVINO would use float32 without a message.
    if bf16 and "BF16" not in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise DeviceError("this processor does not compute in bfloat16; choose backend openvino")
