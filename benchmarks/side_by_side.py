"""Both sides of a benchmark in one run: the same answers first, then their times by turns, then rows of CSV."""

import argparse
import csv
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from rsn.benchmark import machine, take_turns

Way = Callable[[], object]
Row = dict[str, str]


def arguments(description: str, *, repeats: int) -> argparse.ArgumentParser:
    """What all of these scripts take."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=repeats, help="runs of each way that count")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ...: where our side runs")
    parser.add_argument("--output", type=Path, help="CSV to write")
    return parser


def compare(
    step: str,
    ways: Mapping[str, Way],
    *,
    one: str,
    options: argparse.Namespace,
    things: int = 1,
    asked: Mapping[str, float] | None = None,
    differences: Mapping[str, float] | None = None,
) -> list[Row]:
    """Time ways of doing a step, the reference's first; print the medians and give them as rows.

    one: what the milliseconds are for. things: how many of them a run does. asked: how many times as fast a way should
    be. differences: of a way's answers from the reference's, whose limits the script has checked.
    """
    settle_memory()
    waiting = {name: synchronized(way, options.device) for name, way in ways.items()}
    medians = {
        name: 1000 * float(np.median(seconds)) / things
        for name, seconds in take_turns(waiting, options.repeats).items()
    }
    reference = next(iter(medians.values()))
    print(f"{step}: {place(options)}")
    rows = []
    for name, median in medians.items():
        print(f"{name:<24}{median:10.3f} ms for {one}{reference / median:10.2f} x")
        rows.append(
            row(
                step,
                name,
                median,
                one=one,
                options=options,
                ratio=f"{reference / median:.2f}",
                asked=str((asked or {}).get(name, "")),
                difference=f"{differences[name]:.1e}" if differences and name in differences else "",
            )
        )
    return rows


def row(
    step: str,
    way: str,
    milliseconds: float,
    *,
    one: str,
    options: argparse.Namespace,
    ratio: str = "",
    asked: str = "",
    difference: str = "",
) -> Row:
    """A line of the CSV; load: how many programs wanted a core in the last minute, this one among them."""
    return {
        "step": step, "way": way, "ms": f"{milliseconds:.4g}", "for": one, "ratio": ratio, "asked": asked,
        "difference": difference, "repeats": str(options.repeats), "load": f"{os.getloadavg()[0]:.1f}",
        "machine": place(options), "command": command(),
    }  # fmt: skip


def place(options: argparse.Namespace) -> str:
    """The machine, and the GPU where our side runs on one."""
    if not options.device.startswith("cuda"):
        return machine()
    return f"{torch.cuda.get_device_name(options.device)}; {machine()}"


def settle_memory() -> None:
    """Until a large block was freed once, glibc gives every smaller one back to the system; a network frees such."""
    torch.ones(7 * 2**20)


def synchronized(way: Way, device: str) -> Way:
    """CUDA answers before it is done."""
    if not device.startswith("cuda"):
        return way

    def run() -> None:
        way()
        torch.cuda.synchronize(device)

    return run


def check(difference: float, limit: float) -> float:
    """The difference of two answers, where it is small enough."""
    if not difference <= limit:
        raise SystemExit(f"the two do not agree: they differ by {difference:g}, more than {limit:g}")
    return difference


def write(rows: Sequence[Mapping[str, object]], output: Path | None) -> None:
    """Write the rows of a benchmark, where that was asked for."""
    if output is None:
        return
    output.parent.mkdir(exist_ok=True)
    with open(output, "w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def command() -> str:
    """What was typed, without the folders of files."""
    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    return " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])
