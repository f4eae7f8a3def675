"""PyTorch as a backend, which is always installed."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsn.errors import DeviceError
from rsn.inference.backends import Backend
from rsn.models.inference_graph import InferenceGraph

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def torch_backend(inference_graph: InferenceGraph, device: str, name: str) -> Backend:
    """Run the graph in PyTorch, channels last.

    Args:
        inference_graph: is moved to the device and changed.
        device: any device of PyTorch.
        name: "torch" runs one operation after the other; "torch-compile" fuses them by torch.compile, on CUDA into CUDA
            graphs, which takes a minute or more, now and again for the first single crop. With the ending "-bf16" or
            "-fp16", weights and feature maps are in bfloat16 or float16.

    Raises:
        DeviceError: torch.compile does not work on this machine; on a CPU it needs a C++ compiler.
    """
    graph = inference_graph.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    graph.set_precision(_DTYPES.get(name.rpartition("-")[2], torch.float32))
    run = _compiled(graph, on_cuda=device.startswith("cuda")) if "compile" in name else graph

    @torch.inference_mode()
    def backend(crops: NDArray[np.uint8]) -> Tensor:
        outputs: Tensor = run(torch.from_numpy(crops).to(device).contiguous(memory_format=torch.channels_last))
        return outputs

    if run is not graph:
        _compile_now(backend, inference_graph.example().numpy())
    return backend


def _compiled(graph: InferenceGraph, *, on_cuda: bool) -> Callable[[Tensor], Tensor]:
    compiled = torch.compile(graph, mode="reduce-overhead" if on_cuda else None)

    def run(crops: Tensor) -> Tensor:
        torch._dynamo.maybe_mark_dynamic(crops, 0)  # one program for batches of any size above one
        outputs: Tensor = compiled(crops)
        return outputs.clone()  # the next run of a CUDA graph overwrites them

    return run


def _compile_now(backend: Backend, example: NDArray[np.uint8]) -> None:
    """Compile before the first use, so that errors are reported early."""
    try:
        backend(example)
    except Exception as error:  # of many types; most often there is no compiler
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DeviceError(f"torch.compile does not work on this machine ({reason}); choose backend torch") from error
