"""PyTorch as a backend: what is always there."""

import torch
from torch import Tensor

from rsn.errors import DeviceError
from rsn.inference.backends import Backend
from rsn.models.inference_graph import InferenceGraph

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def torch_backend(inference_graph: InferenceGraph, device: torch.device, name: str) -> Backend:
    """Run the graph in PyTorch, channels last.

    Args:
        deployment: which is taken over and changed.
        device: any that PyTorch has; tests run on CPUs, and CUDA was tried (docs/speed.md).
        name: "torch" runs one operation after the other; "torch-compile" lets torch.compile fuse them, on CUDA into
            CUDA graphs, which takes a minute or more, here and again for the first crop that comes alone. With "-bf16"
            or "-fp16" behind it weights and feature maps are in bfloat16 or float16.

    Raises:
        DeviceError: torch.compile does not work here; on a CPU it needs a C++ compiler.
    """
    # torch offers no overload that takes a device and a memory format.
    graph = inference_graph.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    graph.set_precision(_DTYPES.get(name.rpartition("-")[2], torch.float32))
    run = _compiled(graph, device) if "compile" in name else graph

    @torch.inference_mode()
    def backend(crops: Tensor) -> Tensor:
        maps: Tensor = run(crops.to(device).contiguous(memory_format=torch.channels_last))
        return maps

    if run is not graph:
        _try(backend, inference_graph.example())
    return backend


def _compiled(graph: InferenceGraph, device: torch.device) -> Backend:
    compiled = torch.compile(graph, mode="reduce-overhead" if device.type == "cuda" else None)

    def run(crops: Tensor) -> Tensor:
        torch._dynamo.maybe_mark_dynamic(crops, 0)  # one program for batches of any size above one
        maps: Tensor = compiled(crops)
        return maps.clone()  # CUDA graphs write the next answer over this one

    return run


def _try(backend: Backend, example: Tensor) -> None:
    """Compile now, so that what does not work is told before it is used."""
    try:
        backend(example)
    except Exception as error:  # of many kinds; a compiler that is not there is the usual one
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DeviceError(f"torch.compile does not work here ({reason}); choose backend torch") from error
