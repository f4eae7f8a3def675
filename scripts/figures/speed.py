"""Results of the benchmarks, from their CSV files: the speedup of each step over the reference."""

import csv
from pathlib import Path

import matplotlib.pyplot as plt

from figures.style import BLUE, GRAY, ORANGE, save
from figures.tables import Table

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
REFERENCES = ("reference", "pycocotools")
VERSIONS = ("now", "before")
INPUTS = {
    "folder": "rsn predict FOLDER, {} images",
    "video": "rsn predict VIDEO, {} frames",
    "bulk": "rsn bulk, one worker after its start, {} images",
}

Row = dict[str, str]


def draw(folder: Path) -> dict[str, Table]:
    """speed.svg, and the tables of docs/speed.md."""
    _draw_ratios(folder, _compared())
    return tables()


def tables() -> dict[str, Table]:
    """Return all tables of the page; nothing is measured here."""
    runs = _folder_runs()
    return {
        "speed, waiting": _waiting(runs),
        "speed, folder": _by_part(runs),
        "speed, memory": [
            ["images", *(row["images"] for row in _rows(BENCHMARKS / "memory.csv"))],
            ["peak memory, MiB", *(row["peak_mib"] for row in _rows(BENCHMARKS / "memory.csv"))],
        ],
        "speed, steps": [
            ["step", "unit", "reference, ms", "`rsn`, ms", "speedup", "target"],
            *(
                [*_name(row), row["reference"], row["ms"], row["ratio"], row["target"] or "-"]
                for row in _compared()
                if not row["step"].startswith("forward")  # in the tables of backends
            ),
        ],
        "speed, backends": _backends("forward"),
        "speed, backends on CUDA": _backends("forward on CUDA"),
    }


def _folder_runs() -> dict[tuple[str, str], dict[str, float]]:
    """Return the seconds by part, and the number of images, for each input and version."""
    runs: dict[tuple[str, str], dict[str, float]] = {}
    for row in [*_rows(BENCHMARKS / "folder.csv"), *_rows(BENCHMARKS / "video.csv")]:
        run = runs.setdefault((row["input"], row["version"]), {"images": float(row["images"])})
        run[row["part"]] = float(row["seconds"])
    return runs


def _waiting(runs: dict[tuple[str, str], dict[str, float]]) -> Table:
    seconds = {(row["command"], row["version"]): row["seconds"] for row in _rows(BENCHMARKS / "startup.csv")}
    for (kind, version), run in runs.items():
        seconds[INPUTS[kind].format(int(run["images"])), version] = f"{run['all']:.1f}"
    labels = dict.fromkeys(label for label, _ in seconds)
    return [
        ["", "now, s", "before, s"],
        *([label, *(seconds.get((label, v), "-") for v in VERSIONS)] for label in labels),
    ]


def _by_part(runs: dict[tuple[str, str], dict[str, float]]) -> Table:
    """Return the seconds by part, and the share of both networks alone in the time after the start."""
    parts = dict.fromkeys(part for run in runs.values() for part in run if part != "images")
    shares = ["networks alone, share of the time after the start"]
    for run in runs.values():
        alone = sum((runs["folder", "now"] | run)[part] for part in parts if part.endswith(" alone"))
        shares.append(f"{100 * alone / (run['all'] - run.get('start', 0)):.0f} %")
    return [
        ["seconds", *(kind if version == "now" else f"{kind}, {version}" for kind, version in runs)],
        *([part, *(f"{run[part]:.1f}" if part in run else "-" for run in runs.values())] for part in parts),
        shares,
    ]


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
