"""What the folder of a run says about it: recipe, environment, and logged metrics."""

import csv
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rsn.errors import RecipeError
from rsn.evaluation.coco import CocoMetrics
from rsn.evaluation.mpii import PckhMetrics
from rsn.training.folder import ENVIRONMENT, LOGS, RECIPE
from rsn.training.recipe import Recipe, read_recipe

Series = dict[str, list[tuple[int, float]]]  # by name: (step, value), steps ascending
_METRICS: dict[str, type[CocoMetrics] | type[PckhMetrics]] = {"ap": CocoMetrics, "pckh": PckhMetrics}


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
            RecipeError: it contains no run, or one without a validation.
        """
        if not (folder / RECIPE).is_file():
            raise RecipeError(f"{folder}: contains no training run (no {RECIPE})")
        environment = folder / ENVIRONMENT
        known = json.loads(environment.read_text()) if environment.is_file() else {}
        run = cls(folder, read_recipe(folder / RECIPE), known, read_series(folder / LOGS))
        if not any(f"validation/{name}" in run.series for name in _METRICS):
            raise RecipeError(f"{folder}: the run has no validation yet, so there is nothing to report")
        return run

    @cached_property
    def headline(self) -> str:
        """The metric that selects the best weights: ap, or pckh for MPII."""
        return next(name for name in _METRICS if f"validation/{name}" in self.series)

    @property
    def best(self) -> CocoMetrics | PckhMetrics:
        """The metrics of the validation with the highest AP or PCKh."""
        step, _ = max(self.series[f"validation/{self.headline}"], key=lambda entry: entry[1])
        kind = _METRICS[self.headline]
        values = {name: dict(self.series.get(f"validation/{name}", ())) for name in kind.__dataclass_fields__}
        return kind(**{name: by_step.get(step, -1.0) for name, by_step in values.items()})

    @property
    def steps(self) -> int:
        """Steps until the last validation."""
        return max(step for step, _ in self.series[f"validation/{self.headline}"]) + 1

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
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        start = min((int(row["step"]) for row in rows), default=0)
        series = {name: [entry for entry in entries if entry[0] < start] for name, entries in series.items()}
        for row in rows:
            for name in row.keys() - {"step", "epoch"}:
                if row[name]:
                    series.setdefault(name, []).append((int(row["step"]), float(row[name])))
    return {name: entries for name, entries in series.items() if entries}
