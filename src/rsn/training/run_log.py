"""What a run's folder tells about it: recipe, environment, and every figure that was logged."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsn.errors import RecipeError
from rsn.evaluation.coco import CocoMetrics
from rsn.evaluation.mpii import PckhMetrics
from rsn.training.folder import ENVIRONMENT, LOGS, RECIPE
from rsn.training.recipe import Recipe, read_recipe

Series = dict[str, list[tuple[int, float]]]  # by name: (step, value), steps ascending


@dataclass(frozen=True, eq=False)
class Run:
    """A training run, finished or not.

    series: what was logged, by name, such as train/loss and validation/ap.
    """

    folder: Path
    recipe: Recipe
    environment: dict[str, Any]
    series: Series

    @classmethod
    def read(cls, folder: Path) -> "Run":
        """Read a run's folder.

        Raises:
            RecipeError: it holds no run, or one without a finished round.
        """
        if not (folder / RECIPE).is_file():
            raise RecipeError(f"{folder}: holds no training run (no {RECIPE} in it)")
        environment = folder / ENVIRONMENT
        run = cls(
            folder,
            read_recipe(folder / RECIPE),
            json.loads(environment.read_text()) if environment.is_file() else {},
            read_series(folder / LOGS),
        )
        if not any(f"validation/{headline}" in run.series for headline in _SCORES):
            raise RecipeError(
                f"{folder}: its run has not finished a round yet, so there is nothing to report"
            )
        return run

    @property
    def headline(self) -> str:
        """The figure that chooses its weights: ap, or pckh where it is validated on MPII."""
        return next(headline for headline in _SCORES if f"validation/{headline}" in self.series)

    @property
    def best(self) -> CocoMetrics | PckhMetrics:
        """The metrics of the round with the highest validation AP or PCKh."""
        step = max(self.series[f"validation/{self.headline}"], key=lambda entry: entry[1])[0]
        scores = _SCORES[self.headline]
        metrics = {
            name: dict(self.series.get(f"validation/{name}", ())) for name in scores.__dataclass_fields__
        }
        return scores(**{name: values.get(step, -1.0) for name, values in metrics.items()})

    @property
    def steps(self) -> int:
        """Steps that were made in finished rounds."""
        return max(step for step, _ in self.series[f"validation/{self.headline}"]) + 1

    @property
    def seconds(self) -> float:
        """Time that the finished rounds took, validation included."""
        return sum(value for _, value in self.series.get("train/seconds", ()))

    def mean(self, name: str) -> float:
        """The mean of a series over the run; not-a-number where it was not logged."""
        values = [value for _, value in self.series.get(name, ())]
        return sum(values) / len(values) if values else float("nan")


_SCORES: dict[str, type[CocoMetrics] | type[PckhMetrics]] = {"ap": CocoMetrics, "pckh": PckhMetrics}


def read_series(logs: Path) -> Series:
    """All versions of the log as one: a version that was resumed ends where the next one begins."""
    versions = sorted(
        logs.glob("version_*/metrics.csv"), key=lambda path: int(path.parent.name.split("_")[1])
    )
    series: Series = {}
    for version in versions:
        with open(version, newline="") as file:
            rows = list(csv.DictReader(file))
        start = min((int(row["step"]) for row in rows), default=0)
        series = {name: [entry for entry in entries if entry[0] < start] for name, entries in series.items()}
        for row in rows:
            for name in row.keys() - {"step", "epoch"}:
                if row[name]:
                    series.setdefault(name, []).append((int(row["step"]), float(row[name])))
    return {name: entries for name, entries in series.items() if entries}
