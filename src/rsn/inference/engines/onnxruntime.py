"""ONNX Runtime as an engine."""

import logging
from pathlib import Path

import torch
from torch import Tensor

from rsn.errors import DeviceError
from rsn.extras import require
from rsn.inference.engines import Engine
from rsn.inference.engines.graphs import converted
from rsn.networks.deployment import Deployment

FILE = "graph.onnx"
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def onnxruntime_engine(deployment: Deployment, device: torch.device) -> Engine:
    """Run the graph in ONNX Runtime, on the CPU or (which we could not test) by its CUDA provider.

    Raises:
        DeviceError: onnxruntime, onnx or onnxscript are not installed, or the build has no provider for the device.
    """
    require("onnxruntime", "onnx", "onnxscript", extra="engines", for_what="engine onnxruntime")
    import onnxruntime  # type: ignore[import-untyped]

    provider = _PROVIDERS.get(device.type)
    if provider not in onnxruntime.get_available_providers():
        raise DeviceError(
            f"this build of onnxruntime cannot run on {device};"
            " install onnxruntime-gpu for CUDA, or choose engine torch"
        )
    folder = converted(
        deployment, lambda at: write_onnx(deployment, at / FILE), libraries=("onnx", "onnxscript")
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = torch.get_num_threads()
    place = {"device_id": device.index or 0} if device.type == "cuda" else {}
    session = onnxruntime.InferenceSession(folder / FILE, options, providers=[(provider, place)])

    def engine(crops: Tensor) -> Tensor:
        (maps,) = session.run(None, {"crops": crops.cpu().contiguous().numpy()})
        return torch.from_numpy(maps)

    return engine


def write_onnx(deployment: Deployment, path: Path) -> None:
    """Write the graph as ONNX: `crops` (batch, 3, H, W) uint8 RGB -> `heatmaps` (batch, K, H/4, W/4) float32."""
    example = torch.zeros(2, 3, *deployment.card.input_size, dtype=torch.uint8)
    batch = torch.export.Dim("batch", min=1, max=4096)
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it tells that torchvision is not there, which nobody needs
    try:
        torch.onnx.export(
            deployment.cpu(),
            (example,),
            path,
            dynamo=True,
            dynamic_shapes=({0: batch},),
            input_names=["crops"],
            output_names=["heatmaps"],
            verbose=False,
        )
    finally:
        logger.setLevel(level)
