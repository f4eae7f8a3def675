"""Reports of training runs as tables, curves and images: of one in its own folder, or of several side by side."""

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

from rsn.data.loading import Interval
from rsn.errors import RecipeError
from rsn.evaluation.coco import CocoMetrics
from rsn.evaluation.datasets import Metrics
from rsn.evaluation.mpii import PckhMetrics
from rsn.evaluation.pck import PckMetrics
from rsn.io.files import atomic_write, make_folder
from rsn.io.pages import data_uri, render_page
from rsn.training.detection import read_any_recipe
from rsn.training.folder import ENVIRONMENT, LOGS, RECIPE, SAMPLES
from rsn.training.recipe import Recipe
from rsn.weights.published import published_results

Series = dict[str, list[tuple[int, float]]]  # by name: (step, value), steps ascending
_METRICS: dict[str, type[Metrics]] = {"ap": CocoMetrics, "pckh": PckhMetrics, "pck": PckMetrics}
CURVES, REPORT = "curves.png", "report.md"
_COLUMNS = {
    "ap": ("AP", "AP50", "AP75", "APM", "APL", "AR"),
    "pckh": ("Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Mean"),
    "pck": ("Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Mean"),
}  # by the metric that selects a run's weights
_PUBLISHED_ON = {"ap": "COCO val", "pckh": "MPII val", "pck": ""}
_PANELS = (
    ("train/loss", "loss", "log"),
    ("validation/{headline}", "validation AP (MPII: PCKh, JHMDB: PCK)", "linear"),
    ("train/learning_rate", "learning rate", "linear"),
)
_LEGEND = """\
AP and AR, or PCKh@0.5 (MPII) and PCK@0.2 (JHMDB) by keypoint, in percent, of the best validation, with the labeled
boxes of the run's validation set. Published rows are the authors' results on all of COCO val2017 with detected boxes,
or on MPII's validation set. Hours include validation; waiting is the share of training time without data."""


@dataclass(frozen=True, eq=False)
class Run:
    """A training run, finished or not; series: logged values by name, such as train/loss and validation/ap."""

    folder: Path
    recipe: Recipe
    environment: dict[str, Any]
    series: Series

    @classmethod
    def from_folder(cls, folder: Path) -> "Run":
        """Read the output folder of a run.

        Raises:
            RecipeError: it contains no run, one of a person detector, or one without a validation.
        """
        if not (folder / RECIPE).is_file():
            raise RecipeError(f"{folder}: contains no training run (no {RECIPE})")
        recipe = read_any_recipe(folder / RECIPE)
        if not isinstance(recipe, Recipe):
            raise RecipeError(f"{folder}: the run trained a person detector; reports are for runs of pose networks")
        environment = folder / ENVIRONMENT
        known = json.loads(environment.read_text(encoding="utf-8")) if environment.is_file() else {}
        run = cls(folder, recipe, known, read_series(folder / LOGS))
        if not any(f"validation/{name}" in run.series for name in _METRICS):
            raise RecipeError(f"{folder}: the run has no validation yet, so there is nothing to report")
        return run

    @cached_property
    def headline(self) -> str:
        """The metric that selects the best weights: ap, pckh for MPII, pck for JHMDB."""
        return next(name for name in _METRICS if f"validation/{name}" in self.series)

    @property
    def best(self) -> Metrics:
        """The metrics of the validation with the highest AP, PCKh or PCK, among those with the last input size."""
        intervals = self.recipe.intervals()
        sizes = {
            step: intervals[min(step // self.recipe.val_interval, len(intervals) - 1)].size
            for step, _ in self._validations
        }
        last = [entry for entry in self._validations if sizes[entry[0]] == sizes[self.steps - 1]]
        step, _ = max(last, key=lambda entry: entry[1])
        kind = _METRICS[self.headline]
        values = {name: dict(self.series.get(f"validation/{name}", ())) for name in kind.__dataclass_fields__}
        return kind(**{name: by_step.get(step, -1.0) for name, by_step in values.items()})

    @property
    def steps(self) -> int:
        """Steps until the last validation."""
        return max(step for step, _ in self._validations) + 1

    @property
    def _validations(self) -> list[tuple[int, float]]:
        """The step and the headline of every validation."""
        return self.series[f"validation/{self.headline}"]

    @property
    def seconds(self) -> float:
        """Time until the last validation, validations included."""
        return sum(value for _, value in self.series.get("train/seconds", ()))

    def mean(self, name: str) -> float:
        """The mean of a series; NaN if it was not logged."""
        values = [value for _, value in self.series.get(name, ())]
        return sum(values) / len(values) if values else float("nan")


def read_series(logs: Path) -> Series:
    """All versions of a log as one: a version that was resumed ends where the next one starts."""
    files = sorted(logs.glob("version_*/metrics.csv"), key=lambda path: int(path.parent.name.split("_")[1]))
    series: Series = {}
    for path in files:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        start = min((int(row["step"]) for row in rows), default=0)
        series = {name: [entry for entry in entries if entry[0] < start] for name, entries in series.items()}
        for row in rows:
            for name in row.keys() - {"step", "epoch"}:
                if row[name]:
                    series.setdefault(name, []).append((int(row["step"]), float(row[name])))
    return {name: entries for name, entries in series.items() if entries}


def write_run_report(folder: Path) -> Path:
    """Write curves.png and report.md into the folder of a run; returns the path of the latter.

    Raises:
        RecipeError: there is no run in it, or none with a validation.
    """
    run = Run.from_folder(folder)
    environment = dict.fromkeys(("device", "processes", "python", "rsn"), "unknown") | run.environment
    libraries = environment.get("libraries", {})
    versions = ", ".join(f"{name} {number}" for name, number in libraries.items() if number)
    ran = (
        f"Ran on {environment['device']} ({environment['processes']} processes), Python {environment['python']},"
        f" {versions}; rsn {environment['rsn']}, revision {environment.get('revision') or 'unknown'}.\n"
        f"Validated on `{run.recipe.validation.annotations.name}`."
    )
    parts = [f"# {folder.name}", _markdown([run]), _LEGEND, ran, f"![Curves]({CURVES})"]
    if (folder / SAMPLES).is_file():
        parts.append(f"![Predictions of the best weights on images of the validation set]({SAMPLES})")
    atomic_write(folder / CURVES, draw_curves([run]))
    atomic_write(folder / REPORT, ("\n\n".join(parts) + "\n").encode())
    return folder / REPORT


def write_comparison(folders: Sequence[Path], output: Path) -> Path:
    """Write report.md, report.html (one self-contained page) and curves.png about several runs.

    Returns:
        The path of report.html.

    Raises:
        RecipeError: a folder without a run, or without a validation.
    """
    runs = [Run.from_folder(folder) for folder in folders]
    curves, title = draw_curves(runs), "Training runs"
    samples = {run.folder.name: run.folder / SAMPLES for run in runs}
    page = render_page(
        "runs.html",
        title=title,
        rows=list(_rows(runs)),
        legend=_LEGEND,
        curves=data_uri(curves, "png"),
        samples={name: data_uri(path.read_bytes(), "jpeg") for name, path in samples.items() if path.is_file()},
    )
    text = "\n\n".join([f"# {title}", _markdown(runs), _LEGEND, f"![Curves]({CURVES})\n"])
    make_folder(output)
    atomic_write(output / CURVES, curves)
    atomic_write(output / REPORT, text.encode())
    atomic_write(output / "report.html", page)
    return output / "report.html"


def draw_curves(runs: Sequence[Run]) -> bytes:
    """Loss, validation metric and learning rate of runs over the steps, as a PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(_PANELS), 3.4), layout="constrained")
    for axes, (name, title, scale) in zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True):
        for run in runs:
            entries = run.series.get(name.format(headline=run.headline), [])
            axes.plot(*zip(*entries, strict=True), label=run.folder.name) if entries else None
        axes.set(title=title, xlabel="step", yscale=scale)
        axes.grid(alpha=0.3)
    if len(runs) > 1:
        figure.axes[1].legend()
    data = BytesIO()
    figure.savefig(data, format="png", dpi=120)
    return data.getvalue()


def _markdown(runs: Sequence[Run]) -> str:
    header, *rows = _rows(runs)
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def _rows(runs: Sequence[Run]) -> Iterator[list[str]]:
    """The header, and a row per run, followed by the published rows of its network."""
    columns = list(dict.fromkeys(name for run in runs for name in _COLUMNS[run.headline]))
    yield ["run", "model", "input", "steps", *columns, "hours", "crops/s", "waiting"]
    for run in runs:
        model, (height, width) = run.recipe.model, run.recipe.input_size
        metrics = run.best.as_dict()
        yield [
            run.folder.name, model, f"{height}x{width}", _steps(run),
            *(_percent(100 * metrics.get(name, -1.0)) for name in columns),
            f"{run.seconds / 3600:.2f}", f"{run.mean('train/crops_per_second'):.0f}",
            f"{run.mean('train/waiting_for_data'):.0%}",
        ]  # fmt: skip
        for row in published_results(model):
            if row.dataset == _PUBLISHED_ON[run.headline] and row.input_size == run.recipe.input_size:
                percents = (_percent(row.metrics.get(name, -1.0)) for name in columns)
                yield [f"published: {row.source}", model, f"{height}x{width}", "", *percents, "", "", ""]


def _steps(run: Run) -> str:
    """Steps and batch size, such as 3,600 x 384, 8,400 x 192 of a run in two stages."""
    steps: dict[Interval, int] = {}
    for interval in run.recipe.intervals()[: run.steps // run.recipe.val_interval]:
        steps[interval] = steps.get(interval, 0) + run.recipe.val_interval
    return ", ".join(f"{count:,} x {interval.batch_size}" for interval, count in steps.items())


def _percent(value: float) -> str:
    return "-" if value < 0 or math.isnan(value) else f"{value:.1f}"
