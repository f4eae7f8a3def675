"""Results of the benchmarks, from their CSV files: the speedup of each step over the reference."""

import csv
from pathlib import Path

import matplotlib.pyplot as plt

from figures.style import BLUE, GRAY, ORANGE, save
from figures.tables import Table

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
REFERENCES = ("reference", "pycocotools")

Row = dict[str, str]


def draw(folder: Path) -> dict[str, Table]:
    """speed.svg, and the tables of docs/speed.md."""
    _draw_ratios(folder, _compared())
    return tables()


def tables() -> dict[str, Table]:
    """Return all tables of the page; nothing is measured here."""
    people_per_image = ("1 person per image", "3 people per image")
    predict = {people: _of(f"predict, {people}") for people in people_per_image}
    stages = _of("stages of predict, 3 people per image")
    sample = _of("stages of a training sample")
    steps = {side: _of(f"operations of a train step, {side}") for side in ("reference", "rsn")}
    return {
        "speed, steps": [
            ["step", "unit", "reference, ms", "`rsn`, ms", "speedup", "target"],
            *([*_name(row), row["reference"], row["ms"], row["ratio"], row["target"] or "-"] for row in _compared()),
        ],
        "speed, backends": _backends("forward"),
        "speed, backends on CUDA": _backends("forward on CUDA"),
        "speed, predict": [
            ["ms per image", *(row["variant"] for row in next(iter(predict.values()))), "backend's share"],
            *(
                [f"{people}", *(row["ms"] for row in rows), f"{100 * float(rows[-1]['ratio']):.0f} %"]
                for people, rows in predict.items()
            ),
        ],
        "speed, AP": _milliseconds("metrics of val2017", _of("COCO AP")),
        "speed, decode": _milliseconds("32 crops", _of("decode")),
        "speed, stages of predict": _milliseconds("image with 3 people", stages),
        "speed, stages of a sample": _milliseconds("training sample", sample),
        "speed, train step": [
            ["ms per crop", *(row["variant"] for row in steps["reference"])],
            *([side, *(row["ms"] for row in rows)] for side, rows in steps.items()),
        ],
        "speed, memory": [
            ["images", "peak memory, MiB"],
            *([row["images"], row["peak_mib"]] for row in _rows(BENCHMARKS / "memory.csv")),
        ],
        "speed, runs": [
            ["command", "repeats", "load", "machine"],
            *([f"`{command}`", *rest] for command, *rest in _runs()),
        ],
    }


def _backends(step: str) -> Table:
    return [
        ["backend", "ms per crop", "speedup", "largest difference, relative to the highest peak"],
        *([f"`{row['variant']}`", row["ms"], row["ratio"], row["difference"] or "-"] for row in _of(step)),
    ]


def _compared() -> list[Row]:
    """Return our row of every step, with the reference's milliseconds."""
    found = []
    for path in sorted((BENCHMARKS / "speed").glob("*.csv")):
        reference = ""
        for row in _rows(path):
            if row["variant"] in REFERENCES:
                reference = row["ms"]
            elif row["variant"].startswith("rsn") or (row["step"].startswith("forward") and row["target"]):
                found.append(row | {"reference": reference})
    return found


def _name(row: Row) -> tuple[str, str]:
    """Return the name of the step, with the variant if there are several, and the unit."""
    variant = row["variant"].removeprefix("rsn").removeprefix(", ")
    return f"{row['step']}, {variant}" if variant else row["step"], row["unit"]


def _of(step: str) -> list[Row]:
    return [row for path in sorted((BENCHMARKS / "speed").glob("*.csv")) for row in _rows(path) if row["step"] == step]


def _milliseconds(title: str, rows: list[Row]) -> Table:
    return [[title, *(row["variant"] for row in rows)], ["ms", *(row["ms"] for row in rows)]]


def _runs() -> list[tuple[str, str, str, str]]:
    """Return command, repeats, load and machine of each benchmark."""
    last = {
        row["command"]: (row["repeats"], row["load"], row["machine"])
        for path in sorted((BENCHMARKS / "speed").glob("*.csv"))
        for row in _rows(path)
    }
    return [(command, *rest) for command, rest in last.items()]


def _rows(path: Path) -> list[Row]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _draw_ratios(folder: Path, rows: list[Row]) -> None:
    figure, axes = plt.subplots(figsize=(9, 0.55 * len(rows) + 1))
    names = [_name(row)[0] for row in rows]
    ratios = [float(row["ratio"]) for row in rows]
    axes.barh(names, [ratio - 1 for ratio in ratios], left=1, color=BLUE, height=0.6)
    for position, (row, ratio) in enumerate(zip(rows, ratios, strict=True)):
        axes.text(1.02, position, f"{ratio:.3g}", va="center", transform=axes.get_yaxis_transform())
        if row["target"]:
            target = float(row["target"])
            axes.plot([target, target], [position - 0.42, position + 0.42], color=ORANGE, lw=2.5)
    axes.axvline(1, color=GRAY, lw=1)
    axes.set(xscale="log", title="speedup over the reference (orange: target)")
    axes.set_xticks([1, 2, 5, 10, 20, 50, 100, 200], [1, 2, 5, 10, 20, 50, 100, 200])
    axes.minorticks_off()
    axes.invert_yaxis()
    save(figure, folder, "speed")
