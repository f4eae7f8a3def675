"""Compare variants of a step in one run: check that results agree, time them in turns, write CSV."""

import argparse
import csv
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from rsn.benchmark import machine, take_turns

Variant = Callable[[], object]
Row = dict[str, str]


def arguments(description: str, *, repeats: int) -> argparse.ArgumentParser:
    """Options that all benchmark scripts share."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=repeats, help="measured runs of each variant")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ...: device of our variants")
    parser.add_argument("--output", type=Path, help="CSV to write")
    return parser


def compare(
    step: str,
    variants: Mapping[str, Variant],
    *,
    unit: str,
    options: argparse.Namespace,
    count: int = 1,
    targets: Mapping[str, float] | None = None,
    differences: Mapping[str, float] | None = None,
) -> list[Row]:
    """Time variants of a step, the reference first; print the medians and return them as rows.

    unit: what the milliseconds are for. count: units in one run. targets: speedup that a variant should reach.
    differences: of a variant's results from the reference's, after the script checked their limits.
    """
    settle_memory()
    waiting = {name: synchronized(variant, options.device) for name, variant in variants.items()}
    medians = {
        name: 1000 * float(np.median(seconds)) / count for name, seconds in take_turns(waiting, options.repeats).items()
    }
    reference = next(iter(medians.values()))
    print(f"{step}: {place(options)}")
    rows = []
    for name, median in medians.items():
        print(f"{name:<24}{median:10.3f} ms for {unit}{reference / median:10.2f} x")
        rows.append(
            row(
                step,
                name,
                median,
                unit=unit,
                options=options,
                ratio=f"{reference / median:.2f}",
                target=str((targets or {}).get(name, "")),
                difference=f"{differences[name]:.1e}" if differences and name in differences else "",
            )
        )
    return rows


def row(
    step: str,
    variant: str,
    milliseconds: float,
    *,
    unit: str,
    options: argparse.Namespace,
    ratio: str = "",
    target: str = "",
    difference: str = "",
) -> Row:
    """Return a line of the CSV. load: mean number of running processes in the last minute, this one included."""
    return {
        "step": step, "variant": variant, "ms": f"{milliseconds:.4g}", "unit": unit, "ratio": ratio, "target": target,
        "difference": difference, "repeats": str(options.repeats), "load": f"{os.getloadavg()[0]:.1f}",
        "machine": place(options), "command": command(),
    }  # fmt: skip


def place(options: argparse.Namespace) -> str:
    """Name the machine, and the GPU if our variants run on one."""
    if not options.device.startswith("cuda"):
        return machine()
    return f"{torch.cuda.get_device_name(options.device)}; {machine()}"


def settle_memory() -> None:
    """Free one large block, so that glibc stops returning smaller ones to the system; networks do this too."""
    torch.ones(7 * 2**20)


def synchronized(variant: Variant, device: str) -> Variant:
    """Wait for CUDA, which returns before it has finished."""
    if not device.startswith("cuda"):
        return variant

    def run() -> None:
        variant()
        torch.cuda.synchronize(device)

    return run


def check(difference: float, limit: float) -> float:
    """Return the difference if it is within the limit; end the program otherwise."""
    if not difference <= limit:
        raise SystemExit(f"results differ by {difference:g}, more than {limit:g}")
    return difference


def write(rows: Sequence[Mapping[str, object]], output: Path | None) -> None:
    """Write the rows as CSV, if an output was given."""
    if output is None:
        return
    output.parent.mkdir(exist_ok=True)
    with open(output, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def command() -> str:
    """Return the command line, without the folders of files."""
    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    return " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])
