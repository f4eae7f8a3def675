"""Backends run a network in different libraries, with the same results.

A backend is a function: crops (N, 3, H, W) uint8 RGB on any device -> outputs of the network, float32, for heatmaps
(N, K, H/4, W/4). It is built from a trained network and its metadata, takes any N, and can be called from any number of
threads. All backends run the same graph, `rsn.models.inference_graph.InferenceGraph`, which includes normalization.

Importing this module imports no library of a backend.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, get_args

from rsn.errors import DeviceError, UnknownNameError

if TYPE_CHECKING:
    import torch

    from rsn.weights.metadata import Metadata

Backend = Callable[["torch.Tensor"], "torch.Tensor"]

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


def choose(backend: str, device: str) -> "tuple[str, torch.device]":
    """Resolve the names of a backend and a device, both of which may be "auto".

    "auto" is the fastest installed backend with the results of PyTorch, and the first of CUDA, MPS (Apple's GPUs) and
    the CPU that is available and that the backend supports.

    Raises:
        UnknownNameError: no backend of that name.
        DeviceError: no such device, or the backend does not support it.
    """
    from rsn.inference.devices import PREFERRED, pick_device

    if backend not in ("auto", *BACKENDS):
        raise UnknownNameError("backend", backend, ["auto", *BACKENDS])
    chosen = pick_device(device, usable=_DEVICES.get(backend.partition("-")[0], PREFERRED))
    if backend.startswith("openvino") and chosen.type != "cpu":
        raise DeviceError(f"backend {backend} runs on the CPU only; leave out device {device}, or choose backend torch")
    if backend != "auto":
        return backend, chosen
    if chosen.type != "cpu":
        return "torch", chosen
    return next(name for name in _PREFERRED_ON_CPU if find_spec(name)), chosen


def build_backend(
    name: str, network: "torch.nn.Module", metadata: "Metadata", device: "torch.device", *, any_size: bool = False
) -> "Backend":
    """Prepare a network to run in the backend `name` (one of `BACKENDS`); the network is not changed.

    any_size: the backend takes images of any size in multiples of 32, not only of the metadata's.

    Raises:
        MissingDependencyError: the backend is not installed. DeviceError: this machine does not support it.
        RsnError: this process was forked, see `processes.check_process`.
    """
    from rsn.inference.processes import check_process, shared
    from rsn.models.inference_graph import InferenceGraph

    check_process()
    graph = InferenceGraph(network, metadata, any_size=any_size)
    if name.startswith("torch"):
        from rsn.inference.backends.pytorch import torch_backend

        return shared(torch_backend(graph, device, name))
    if name == "onnxruntime":
        from rsn.inference.backends.onnxruntime import onnxruntime_backend

        return shared(onnxruntime_backend(graph, device))
    from rsn.inference.backends.openvino import openvino_backend

    return shared(openvino_backend(graph, bf16=name == "openvino-bf16"))
