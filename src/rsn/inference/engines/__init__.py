"""What runs a network: engines turn crops into heatmaps by different means, and agree.

An engine is a function: crops (N, 3, H, W) uint8 RGB on any device -> heatmaps (N, K, H/4, W/4) float32. It is built
of a trained network and its card, takes any N, and may be called by any number of threads. All of them run the same
graph, `networks.deployment.Deployment`, so normalisation is part of it.

Importing this imports no engine.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, get_args

from rsn.errors import DeviceError, UnknownNameError

if TYPE_CHECKING:
    import torch

    from rsn.networks.card import Card
    from rsn.networks.network import PoseNetwork

Engine = Callable[["torch.Tensor"], "torch.Tensor"]

# -bf16, -fp16: convolutions in these, sums in float32; answers differ by about a hundredth of a peak, or a thousandth.
# -compile: operations fused by torch.compile, on CUDA into CUDA graphs.
EngineName = Literal[
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
Choice = Literal["auto", EngineName]
ENGINES: tuple[str, ...] = get_args(EngineName)

# What "auto" looks for, fastest first, among the engines that give the network's own answers (docs/speed.md). CUDA gets
# PyTorch, which starts at once; what is faster there rounds more or compiles for minutes.
_PREFERRED_ON_CPU: tuple[EngineName, ...] = ("openvino", "torch")
_USABLE = {
    "onnxruntime": ("cuda", "cpu"),
    "openvino": ("cpu",),
}  # the devices of libraries that cannot use all


def choose(engine: str, device: str) -> "tuple[str, torch.device]":
    """The engine and the device that are meant by names, of which "auto" leaves the choice to us.

    "auto" is the fastest engine that is installed and as exact as PyTorch, and the first of CUDA, MPS (Apple's GPUs)
    and the CPU that is here and that the engine can use. Whatever else is named is taken exactly.

    Raises:
        UnknownNameError: no engine of that name.
        DeviceError: no such device here, or the engine cannot use it.
    """
    from rsn.inference.devices import PREFERRED, pick_device

    if engine not in ("auto", *ENGINES):
        raise UnknownNameError("engine", engine, ["auto", *ENGINES])
    place = pick_device(device, usable=_USABLE.get(engine.partition("-")[0], PREFERRED))
    if engine.startswith("openvino") and place.type != "cpu":
        raise DeviceError(
            f"engine {engine} runs on the CPU; leave out device {device}, or choose engine torch"
        )
    if engine != "auto":
        return engine, place
    if place.type != "cpu":
        return "torch", place
    return next(name for name in _PREFERRED_ON_CPU if find_spec(name)), place


def build_engine(name: str, network: "PoseNetwork", card: "Card", device: "torch.device") -> "Engine":
    """A network ready to run by the engine `name` (one of `ENGINES`) on a device; the network stays as it is.

    Raises:
        MissingDependencyError: the engine is not installed. DeviceError: it cannot do here what its name says.
        RsnError: this process was forked, see `sharing.check_process`.
    """
    from rsn.inference.sharing import check_process, shared

    check_process()
    return shared(_build(name, network, card, device))


def _build(name: str, network: "PoseNetwork", card: "Card", device: "torch.device") -> "Engine":
    from rsn.networks.deployment import Deployment

    deployment = Deployment(network, card)
    if name.startswith("torch"):
        from rsn.inference.engines.pytorch import torch_engine

        return torch_engine(deployment, device, name)
    if name == "onnxruntime":
        from rsn.inference.engines.onnxruntime import onnxruntime_engine

        return onnxruntime_engine(deployment, device)
    from rsn.inference.engines.openvino import openvino_engine

    return openvino_engine(deployment, bf16=name == "openvino-bf16")
