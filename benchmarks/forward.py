"""The network: every engine that is installed, on the deployment graph, against the training network in PyTorch eager.

    python benchmarks/forward.py --output benchmarks/speed/forward.csv
    python benchmarks/forward.py --device cuda --crops 256 --output benchmarks/speed/forward_cuda.csv

Both sides have the weights of `rsn18.starter`. Where an engine rounds to fewer bits its answers may differ by 5 % of
the highest peak; the others agree to 1e-4 of it, or on CUDA, where PyTorch's convolutions take TF32, to 5e-3.
"""

import torch

from reference.network import ReferenceNetwork
from rsn.errors import DeviceError
from rsn.inference.engines import ENGINES, Engine, build_engine, choose
from rsn.networks.weights import load_model
from side_by_side import arguments, check, compare, write

FULL, ROUNDED = 1e-4, 0.05  # largest difference, of the highest peak
TF32 = 5e-3  # likewise: what PyTorch's convolutions in float32 round to on CUDA, both sides' alike
EXACT = ("torch", "onnxruntime", "openvino")


def main() -> None:
    """Compare."""
    parser = arguments(__doc__, repeats=10)
    parser.add_argument("--crops", type=int, default=16, help="in a batch")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    options = parser.parse_args()
    torch.manual_seed(0)
    network, card = load_model("rsn18.starter")
    reference = ReferenceNetwork(network).eval().to(options.device)
    crops = torch.randint(0, 256, (options.crops, 3, *card.input_size), dtype=torch.uint8).to(options.device)
    inputs = card.normalise(crops)

    @torch.inference_mode()
    def eager() -> torch.Tensor:
        return reference(inputs)[-1][-1]

    expected, differences = eager().cpu(), {}
    ways = {"reference": eager}
    for name in options.engines:
        try:
            engine = build_engine(name, network, card, choose(name, options.device)[1])
        except DeviceError as error:
            print(f"{name} is left out: {error}")
            continue
        found = engine(crops).cpu()
        full = FULL if options.device == "cpu" else TF32
        limit = full if name in EXACT else ROUNDED
        differences[name] = check(float((found - expected).abs().max() / expected.abs().max()), limit)
        ways[name] = running(engine, crops)
    rows = compare(
        "forward" if options.device == "cpu" else "forward on CUDA",
        ways,
        one="a crop",
        things=options.crops,
        options=options,
        asked={"openvino": 2.5} if options.device == "cpu" else {"torch-compile-fp16": 6},
        differences=differences,
    )
    write(rows, options.output)


def running(engine: Engine, crops: torch.Tensor):
    """The engine as a way."""
    return lambda: engine(crops)


if __name__ == "__main__":
    main()
