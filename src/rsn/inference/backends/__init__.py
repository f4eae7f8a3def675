"""What runs a network: backends turn crops into heatmaps by different means, and agree.

A backend is a function: crops (N, 3, H, W) uint8 RGB on any device -> heatmaps (N, K, H/4, W/4) float32. It is built
of a trained network and its metadata, takes any N, and may be called by any number of threads. All of them run the same
graph, `networks.graph.InferenceGraph`, so normalization is part of it.

Importing this imports no backend.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, get_args

from rsn.errors import DeviceError, UnknownNameError

if TYPE_CHECKING:
    import torch

    from rsn.weights.metadata import Metadata

Backend = Callable[["torch.Tensor"], "torch.Tensor"]

# -bf16, -fp16: convolutions in these, sums in float32; answers differ by about a hundredth of a peak, or a thousandth.
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

# What "auto" looks for, fastest first, among the backends that give the network's own answers (docs/speed.md). CUDA gets
# PyTorch, which starts at once; what is faster there rounds more or compiles for minutes.
_PREFERRED_ON_CPU: tuple[BackendName, ...] = ("openvino", "torch")
_USABLE = {
    "onnxruntime": ("cuda", "cpu"),
    "openvino": ("cpu",),
}  # the devices of libraries that cannot use all


def choose(backend: str, device: str) -> "tuple[str, torch.device]":
    """The backend and the device that are meant by names, of which "auto" leaves the choice to us.

    "auto" is the fastest backend that is installed and as exact as PyTorch, and the first of CUDA, MPS (Apple's GPUs)
    and the CPU that is here and that the backend can use. Whatever else is named is taken exactly.

    Raises:
        UnknownNameError: no backend of that name.
        DeviceError: no such device here, or the backend cannot use it.
    """
    from rsn.inference.devices import PREFERRED, pick_device

    if backend not in ("auto", *BACKENDS):
        raise UnknownNameError("backend", backend, ["auto", *BACKENDS])
    place = pick_device(device, usable=_USABLE.get(backend.partition("-")[0], PREFERRED))
    if backend.startswith("openvino") and place.type != "cpu":
        raise DeviceError(
            f"backend {backend} runs on the CPU; leave out device {device}, or choose backend torch"
        )
    if backend != "auto":
        return backend, place
    if place.type != "cpu":
        return "torch", place
    return next(name for name in _PREFERRED_ON_CPU if find_spec(name)), place


def build_backend(
    name: str, network: "torch.nn.Module", metadata: "Metadata", device: "torch.device"
) -> "Backend":
    """A network ready to run by the backend `name` (one of `BACKENDS`) on a device; the network stays as it is.

    Raises:
        MissingDependencyError: the backend is not installed. DeviceError: it cannot do here what its name says.
        RsnError: this process was forked, see `sharing.check_process`.
    """
    from rsn.inference.processes import check_process, shared

    check_process()
    return shared(_build(name, network, metadata, device))


def _build(name: str, network: "torch.nn.Module", metadata: "Metadata", device: "torch.device") -> "Backend":
    from rsn.models.inference_graph import InferenceGraph

    graph = InferenceGraph(network, metadata)
    if name.startswith("torch"):
        from rsn.inference.backends.pytorch import torch_backend

        return torch_backend(graph, device, name)
    if name == "onnxruntime":
        from rsn.inference.backends.onnxruntime import onnxruntime_backend

        return onnxruntime_backend(graph, device)
    from rsn.inference.backends.openvino import openvino_backend

    return openvino_backend(graph, bf16=name == "openvino-bf16")
