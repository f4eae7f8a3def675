"""Backends run a network in different libraries, with the same results.

A backend is a function: crops (N, 3, H, W) uint8 RGB -> outputs of the network, float32, for heatmaps (N, K, H/4, W/4):
a NumPy array, or with a backend of PyTorch a tensor on its device. It takes any N, and can be called from any number of
threads. All backends run the same graph, `rsn.models.inference_graph.InferenceGraph`, which includes normalization.

Importing this module imports no library of a backend, and neither PyTorch nor NumPy.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from rsn.errors import DeviceError, UnknownNameError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from rsn.inference.backends.graphs import GraphSource
    from rsn.weights.metadata import Metadata

Backend = Callable[["NDArray[np.uint8]"], Any]

# -bf16, -fp16: convolutions in these, sums in float32; results differ by about 1/100 or 1/1000 of a peak.
# -compile: operations fused by torch.compile, on CUDA into CUDA graphs.
BackendName = Literal[
    "torch",
    "torch-bf16",
    "torch-fp16",
    "torch-compile",
    "torch-compile-bf16",
    "torch-compile-fp16",
    "onnxruntime",
    "openvino",
    "openvino-bf16",
]
BackendChoice = Literal["auto", BackendName]
BACKENDS: tuple[str, ...] = get_args(BackendName)

# "auto" takes the first one installed; all have PyTorch's results, and the fastest comes first (docs/speed.md). On CUDA
# it takes PyTorch, which starts at once; faster backends round more or compile for minutes.
_PREFERRED_ON_CPU: tuple[BackendName, ...] = ("openvino", "torch")
_DEVICES = {
    "onnxruntime": ("cuda", "cpu"),
    "openvino": ("cpu",),
}  # of libraries that do not run on all devices


def choose(backend: str, device: str) -> tuple[str, str]:
    """Resolve the names of a backend and a device, both of which may be "auto".

    "auto" is the fastest installed backend with the results of PyTorch, and the first of CUDA, MPS (Apple's GPUs) and
    the CPU that is available and that the backend supports.

    Raises:
        UnknownNameError: no backend of that name.
        DeviceError: no such device, or the backend does not support it.
    """
    from rsn.inference.devices import PREFERRED, device_name

    if backend not in ("auto", *BACKENDS):
        raise UnknownNameError("backend", backend, ["auto", *BACKENDS])
    chosen = device_name(device, usable=_DEVICES.get(backend.partition("-")[0], PREFERRED))
    if backend.startswith("openvino") and chosen != "cpu":
        raise DeviceError(f"backend {backend} runs on the CPU only; leave out device {device}, or choose backend torch")
    if backend != "auto":
        return backend, chosen
    if chosen != "cpu":
        return "torch", chosen
    return next(name for name in _PREFERRED_ON_CPU if find_spec(name)), chosen


def open_weights(name: str, weights: str | Path, device: str, *, any_size: bool = False) -> "tuple[Backend, Metadata]":
    """The network of weights, ready to run in the backend `name`, and their metadata.

    If the backend's library is another one than PyTorch and the cache has the converted network, PyTorch is not needed.

    Args:
        weights: a name or a file, as `weights.loading.load_model` takes them; of a pose network or a detector.
        device: where it runs, as `choose` returns it. any_size: as in `build_backend`.

    Raises:
        UnknownNameError, WeightsError: as `weights.loading.load_model`. Others as `build_backend`.
    """
    from rsn.inference.backends.graphs import GraphSource
    from rsn.weights.sources import load_metadata

    metadata = load_metadata(weights)
    return _build(name, GraphSource.from_weights(weights, metadata, any_size=any_size), device), metadata


def build_backend(
    name: str, network: "torch.nn.Module", metadata: "Metadata", device: str, *, any_size: bool = False
) -> Backend:
    """Prepare a network to run in the backend `name` (one of `BACKENDS`); the network is not changed.

    any_size: the backend takes images of any size in multiples of 32, not only of the metadata's.

    Raises:
        MissingDependencyError: the backend is not installed. DeviceError: this machine does not support it.
        RsnError: this process was forked, see `processes.check_process`.
    """
    from rsn.inference.backends.graphs import GraphSource

    return _build(name, GraphSource.from_network(network, metadata, any_size=any_size), device)


def _build(name: str, source: "GraphSource", device: str) -> Backend:
    from rsn.inference.processes import check_process, shared

    check_process()
    if name.startswith("torch"):
        from rsn.inference.backends.pytorch import torch_backend

        return shared(torch_backend(source.build(), device, name))
    if name == "onnxruntime":
        from rsn.inference.backends.onnxruntime import onnxruntime_backend

        return shared(onnxruntime_backend(source, device))
    from rsn.inference.backends.openvino import openvino_backend

    return shared(openvino_backend(source, bf16=name == "openvino-bf16"))
