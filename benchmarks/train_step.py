"""Compare a training step of RSN-18 (forward, loss, backward, Adam) with the reference in PyTorch eager.

    python benchmarks/train_step.py --output benchmarks/speed/train_step.csv

The reference's targets come from its loader and are not counted; ours are drawn within the step.
"""

import argparse

import torch
from torch import Tensor
from torch.profiler import profile

from reference.loss import loss as loss_by_loops
from reference.network import ReferenceNetwork
from rsn.codecs import MegviiCodec
from rsn.models.network import PoseNetwork
from rsn.training.losses import PoseLoss
from rsn.training.optimization import build_optimizer
from rsn.training.recipe import OptimizationConfig
from rsn.weights.metadata import ModelMetadata
from rsn.weights.transfer import create_model
from side_by_side import Row, Variant, arguments, check, compare, row, write

KINDS = {"convolutions": "conv", "batch norms": "batch_norm"}  # kind: part of the operation's name
PRECISIONS = {"rsn": torch.float32, "rsn, bf16-mixed": torch.bfloat16}


def main() -> None:
    """Compare both."""
    parser = arguments(__doc__, repeats=2)
    parser.add_argument("--batch", type=int, default=16, help="crops")
    options = parser.parse_args()
    torch.manual_seed(0)
    metadata, network = ModelMetadata("rsn18"), create_model("rsn18")
    crops = torch.randint(0, 256, (options.batch, 3, *metadata.input_size), dtype=torch.uint8)
    keypoints = torch.rand(options.batch, 17, 2) * torch.tensor(
        [metadata.input_size[1] - 1.0, metadata.input_size[0] - 1.0]
    )
    visibility = torch.randint(0, 3, (options.batch, 17))
    batch = tuple(tensor.to(options.device) for tensor in (crops, keypoints, visibility))
    variants: dict[str, Variant] = {"reference": by_reference(network, metadata, *batch)}
    for name, precision in PRECISIONS.items():
        variants[name] = by_rsn(network, metadata, *batch, precision=precision)
    expected = variants["reference"]()
    differences = {}
    for name, precision in PRECISIONS.items():
        limit = 1e-4 if precision == torch.float32 else 0.05
        differences[name] = check(float(abs(variants[name]() / expected - 1)), limit)
    rows = compare(
        "train step",
        variants,
        unit="1 crop",
        count=options.batch,
        options=options,
        targets={"rsn": 1.7 if options.device == "cpu" else 4},
        differences=differences,
    )
    for name in ("reference", "rsn"):
        rows += shares(name, variants[name], options)
    write(rows, options.output)


def shares(name: str, variant: Variant, options: argparse.Namespace) -> list[Row]:
    """Return the time of each kind of operation in one step, by PyTorch's profiler."""
    with profile() as profiler:
        variant()
    totals = dict.fromkeys(("convolutions", "batch norms", "other"), 0.0)
    for operation in profiler.key_averages():
        kind = next((kind for kind, part in KINDS.items() if part in operation.key), "other")
        totals[kind] += operation.self_cpu_time_total / 1000 / options.batch
    return [
        row(f"operations of a train step, {name}", kind, total, unit="1 crop", options=options)
        for kind, total in totals.items()
    ]


def by_reference(
    network: PoseNetwork, metadata: ModelMetadata, crops: Tensor, keypoints: Tensor, visibility: Tensor
) -> Variant:
    """Return a reference step on normalized inputs and targets; it returns the loss."""
    reference = ReferenceNetwork(network).train().to(crops.device)
    optimizer = torch.optim.Adam(reference.parameters(), lr=1e-4, weight_decay=1e-5)
    inputs, targets = (
        metadata.normalize(crops),
        MegviiCodec().encode(keypoints, visibility, metadata.input_size),
    )

    def step() -> Tensor:
        optimizer.zero_grad()
        loss = loss_by_loops(reference(inputs), targets, visibility)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def by_rsn(
    network: PoseNetwork,
    metadata: ModelMetadata,
    crops: Tensor,
    keypoints: Tensor,
    visibility: Tensor,
    *,
    precision: torch.dtype,
) -> Variant:
    """Return a step of `rsn train`, without Lightning."""
    own = create_model("rsn18")
    own.load_state_dict(network.state_dict())
    own = own.train().to(crops.device, memory_format=torch.channels_last)
    optimizer = build_optimizer(own, OptimizationConfig(learning_rate=1e-4))
    compare_maps = PoseLoss()

    def step() -> Tensor:
        optimizer.zero_grad()
        targets = MegviiCodec().encode(keypoints, visibility, metadata.input_size)
        inputs = metadata.normalize(crops).contiguous(memory_format=torch.channels_last)
        with torch.autocast(crops.device.type, precision, enabled=precision != torch.float32):
            answers = own.heatmaps(inputs)
        loss = compare_maps([[level.float() for level in stage] for stage in answers], targets, visibility)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


if __name__ == "__main__":
    main()
