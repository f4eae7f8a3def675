"""Compare every installed backend, on the deployment graph, with the training network in PyTorch eager.

    python benchmarks/forward.py --output benchmarks/speed/forward.csv
    python benchmarks/forward.py --device cuda --crops 256 --output benchmarks/speed/forward_cuda.csv

Both sides have the weights of `rsn18.starter`. Allowed differences, relative to the highest peak: 5 % for backends that
round to 16 bits, a half for INT8 (docs/export.md has the AP), 1e-4 for the others, 5e-3 on CUDA, where PyTorch's
convolutions use TF32.
"""

import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch

from reference.network import ReferenceNetwork
from rsn.errors import DeviceError
from rsn.export.crops import crops_to_check
from rsn.inference.backends import BACKENDS, Backend, build_backend, choose
from rsn.models.inference_graph import InferenceGraph
from rsn.models.network import PoseNetwork
from rsn.weights.loading import load_network
from rsn.weights.metadata import ModelMetadata
from side_by_side import arguments, check, compare, write

INT8 = "openvino, int8"  # not a backend: a file that `rsn export` writes
# Allowed difference relative to the highest peak, for backends that do not round to 16 bits.
ROUNDED, FULL = 0.05, {"cpu": 1e-4, "cuda": 5e-3}
EXACT = ("torch", "onnxruntime", "openvino")
TARGETS = {"cpu": {"openvino": 2.5, INT8: 3.5}, "cuda": {"torch-compile-fp16": 6}}


def main() -> None:
    """Compare all."""
    parser = arguments(__doc__, repeats=10)
    parser.add_argument("--crops", type=int, default=16, help="crops per batch")
    parser.add_argument("--backends", nargs="+", choices=[*BACKENDS, INT8], default=[*BACKENDS, INT8])
    options = parser.parse_args()
    kind = torch.device(options.device).type
    limits = dict.fromkeys(EXACT, FULL[kind]) | {INT8: 0.5}
    torch.manual_seed(0)
    network, metadata = load_network("rsn18.starter")
    reference = ReferenceNetwork(network).eval().to(options.device)
    crops = torch.randint(0, 256, (options.crops, 3, *metadata.input_size), dtype=torch.uint8).to(options.device)
    inputs = metadata.normalize(crops)

    @torch.inference_mode()
    def eager() -> torch.Tensor:
        return reference(inputs)[-1][-1]

    expected, differences = eager().cpu(), {}
    variants = {"reference": eager}
    for name, backend in backends(network, metadata, options.backends, options.device):
        found = backend(crops).cpu()
        limit = limits.get(name, ROUNDED)
        differences[name] = check(float((found - expected).abs().max() / expected.abs().max()), limit)
        variants[name] = running(backend, crops)
    rows = compare(
        "forward" if kind == "cpu" else "forward on CUDA",
        variants,
        unit="1 crop",
        count=options.crops,
        options=options,
        targets=TARGETS[kind],
        differences=differences,
    )
    write(rows, options.output)


def backends(
    network: PoseNetwork, metadata: ModelMetadata, names: Sequence[str], device: str
) -> Iterator[tuple[str, Backend]]:
    """Return the backends that are available here. On a CPU float16 is slow, and compiling takes minutes."""
    for name in names:
        if device == "cpu" and ("fp16" in name or "compile" in name):
            continue
        if name == INT8:
            if device == "cpu" and find_spec("openvino") and find_spec("nncf"):
                yield name, in_8_bits(network, metadata)
            continue
        try:
            yield name, build_backend(name, network, metadata, choose(name, device)[1])
        except DeviceError as error:
            print(f"{name} is skipped: {error}")


def in_8_bits(network: PoseNetwork, metadata: ModelMetadata) -> Backend:
    """Return an INT8 file calibrated with drawn images; the calibration does not change the speed."""
    from rsn.inference.backends.openvino import as_openvino, open_openvino, quantized, save_openvino

    model = quantized(as_openvino(InferenceGraph(network, metadata)), crops_to_check(metadata, ()))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.xml"
        save_openvino(model, path)
        return open_openvino(path, bf16=False).backend


def running(backend: Backend, crops: torch.Tensor):
    """Return the backend as a variant."""
    return lambda: backend(crops)


if __name__ == "__main__":
    main()
