"""Time RSN-18 with the branches of its blocks padded from 26, 52, 104, 208 channels to 32, 64, 128, 256.

    python benchmarks/branch_widths.py --output benchmarks/branch_widths.csv

Padding with zeros would keep the outputs. The time does not depend on the weights, so both networks have random ones.
"""

from functools import partial

import torch

from rsn.inference.backends import build_backend, choose
from rsn.models.network import PoseNetwork
from rsn.models.residual_steps import ResidualStepsBlock
from rsn.weights.metadata import ModelMetadata
from rsn.weights.transfer import create_model
from side_by_side import arguments, compare, write

CROPS = 16
BACKENDS = ("torch", "torch-bf16", "onnxruntime", "openvino", "openvino-bf16")


def padded(in_channels: int, channels: int, *, stride: int = 1) -> ResidualStepsBlock:
    """Build `residual_steps` with branches of half of the input channels."""
    return ResidualStepsBlock(in_channels, channels, width=in_channels // 2, stride=stride)


def main() -> None:
    """Compare both networks in every backend."""
    parser = arguments(__doc__, repeats=5)
    parser.add_argument("--backends", nargs="+", default=BACKENDS)
    options = parser.parse_args()
    metadata = ModelMetadata("rsn18")
    wide = PoseNetwork(block=padded, blocks_per_layer=(2, 2, 2, 2), num_stages=1, num_keypoints=17)
    networks = {"as they are": create_model("rsn18"), "padded": wide}
    crops = torch.randint(0, 256, (CROPS, 3, *metadata.input_size), dtype=torch.uint8)
    rows = []
    for name in options.backends:
        backend, device = choose(name, options.device)
        variants = {
            width: partial(build_backend(backend, network, metadata, device), crops)
            for width, network in networks.items()
        }
        rows += compare(f"branch widths, {name}", variants, unit="1 crop", count=CROPS, options=options)
    write(rows, options.output)


if __name__ == "__main__":
    main()
