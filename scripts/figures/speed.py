"""What the benchmarks found, from their CSV files: how many times as fast as the reference's way each step is."""

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
    """All tables of the page; nothing is measured here."""
    predict = {people: _of(f"predict, {people} an image") for people in (1, 3)}
    stages = _of("stages of predict, 3 an image")
    sample = _of("stages of a training sample")
    steps = {side: _of(f"operations of a train step, {side}") for side in ("reference", "rsn")}
    return {
        "speed, steps": [
            ["step", "for", "reference, ms", "`rsn`, ms", "times as fast", "aimed at"],
            *(
                [*_name(row), row["reference"], row["ms"], row["ratio"], row["asked"] or "-"]
                for row in _compared()
            ),
        ],
        "speed, backends": _backends("forward"),
        "speed, backends on CUDA": _backends("forward on CUDA"),
        "speed, predict": [
            ["images of", *(row["way"] for row in predict[1]), "backend's share of the whole"],
            *(
                [f"{people}", *(row["ms"] for row in rows), f"{100 * float(rows[-1]['ratio']):.0f} %"]
                for people, rows in predict.items()
            ),
        ],
        "speed, AP": _milliseconds("the metrics of val2017", _of("COCO AP")),
        "speed, decode": _milliseconds("32 crops", _of("decode")),
        "speed, stages of predict": _milliseconds("an image of three people", stages),
        "speed, stages of a sample": _milliseconds("a training sample", sample),
        "speed, train step": [
            ["ms a crop", *(row["way"] for row in steps["reference"])],
            *([side, *(row["ms"] for row in rows)] for side, rows in steps.items()),
        ],
        "speed, memory": [
            ["images", "most memory held, MiB"],
            *([row["images"], row["peak_mib"]] for row in _rows(BENCHMARKS / "memory.csv")),
        ],
        "speed, runs": [
            ["command", "repeats", "load", "machine"],
            *([f"`{command}`", *rest] for command, *rest in _runs()),
        ],
    }


def _backends(step: str) -> Table:
    return [
        ["backend", "ms a crop", "times as fast", "largest difference, of the highest peak"],
        *([f"`{row['way']}`", row["ms"], row["ratio"], row["difference"] or "-"] for row in _of(step)),
    ]


def _compared() -> list[Row]:
    """The rows of our side of every step, each with the reference's milliseconds."""
    found = []
    for path in sorted((BENCHMARKS / "speed").glob("*.csv")):
        reference = ""
        for row in _rows(path):
            if row["way"] in REFERENCES:
                reference = row["ms"]
            elif row["way"].startswith("rsn") or (row["step"].startswith("forward") and row["asked"]):
                found.append(row | {"reference": reference})
    return found


def _name(row: Row) -> tuple[str, str]:
    """The step, with the way where it is not just ours, and what its milliseconds are for."""
    way = row["way"].removeprefix("rsn").removeprefix(", ")
    return f"{row['step']}, {way}" if way else row["step"], row["for"]


def _of(step: str) -> list[Row]:
    return [
        row
        for path in sorted((BENCHMARKS / "speed").glob("*.csv"))
        for row in _rows(path)
        if row["step"] == step
    ]


def _milliseconds(what: str, rows: list[Row]) -> Table:
    return [[what, *(row["way"] for row in rows)], ["ms", *(row["ms"] for row in rows)]]


def _runs() -> list[tuple[str, str, str, str]]:
    """What was run, and how busy the machine was when it was done."""
    last = {
        row["command"]: (row["repeats"], row["load"], row["machine"])
        for path in sorted((BENCHMARKS / "speed").glob("*.csv"))
        for row in _rows(path)
    }
    return [(command, *rest) for command, rest in last.items()]


def _rows(path: Path) -> list[Row]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def _draw_ratios(folder: Path, rows: list[Row]) -> None:
    figure, axes = plt.subplots(figsize=(9, 0.55 * len(rows) + 1))
    names = [_name(row)[0] for row in rows]
    ratios = [float(row["ratio"]) for row in rows]
    axes.barh(names, [ratio - 1 for ratio in ratios], left=1, color=BLUE, height=0.6)
    for place, (row, ratio) in enumerate(zip(rows, ratios, strict=True)):
        axes.text(1.02, place, f"{ratio:.3g}", va="center", transform=axes.get_yaxis_transform())
        if row["asked"]:
            asked = float(row["asked"])
            axes.plot([asked, asked], [place - 0.42, place + 0.42], color=ORANGE, lw=2.5)
    axes.axvline(1, color=GRAY, lw=1)
    axes.set(xscale="log", title="times as fast as the reference's way (orange: aimed at)")
    axes.set_xticks([1, 2, 5, 10, 20, 50, 100, 200], [1, 2, 5, 10, 20, 50, 100, 200])
    axes.minorticks_off()
    axes.invert_yaxis()
    save(figure, folder, "speed")
