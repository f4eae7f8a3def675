"""OpenVINO as an engine: the fastest that we measured on CPUs."""

import warnings
from pathlib import Path

import torch
from torch import Tensor

from rsn.errors import DeviceError
from rsn.extras import require
from rsn.inference.engines import Engine
from rsn.inference.engines.graphs import converted
from rsn.networks.deployment import Deployment

FILE = "graph.xml"


def openvino_engine(deployment: Deployment, *, bf16: bool) -> Engine:
    """Run the graph in OpenVINO on the CPU, by as many threads as PyTorch would.

    Raises:
        DeviceError: OpenVINO is not installed, or bfloat16 was asked for and the processor has none.
    """
    require("openvino", extra="engines", for_what="engine openvino")
    import openvino  # type: ignore[import-untyped]

    core = openvino.Core()
    # Without this OpenVINO would quietly take float32.
    if bf16 and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise DeviceError("this processor does not compute in bfloat16; choose engine openvino")
    folder = converted(deployment, lambda at: _write(deployment, at / FILE), libraries=("openvino",))
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",  # its own choice would depend on the processor
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    request = core.compile_model(folder / FILE, "CPU", settings).create_infer_request()

    def engine(crops: Tensor) -> Tensor:
        outputs = request.infer([crops.cpu().contiguous().numpy()], share_inputs=True)
        return torch.from_numpy(outputs[0])

    return engine


def _write(deployment: Deployment, path: Path) -> None:
    import openvino

    size = deployment.card.input_size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about shapes that become constants, which they are
        model = openvino.convert_model(
            deployment.cpu(), example_input=torch.zeros(2, 3, *size, dtype=torch.uint8)
        )
    model.reshape([-1, 3, *size])
    openvino.save_model(model, path, compress_to_fp16=False)
