"""Tables about the models of the papers: results that the authors published, and our measured complexity."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

from rsn.models.complexity import Complexity

_FIRST_METRIC = 5  # columns from here to the last but one are metrics


@dataclass(frozen=True)
class PublishedResult:
    """One row of a published table.

    dataset: dataset and split; COCO with boxes of a detector. input_size: (height, width).
    metrics: in percent, by the names in the tables (COCO: average precision and recall; MPII: PCKh@0.5).
    gflops: published complexity, None if the table has none.
    """

    dataset: str
    input_size: tuple[int, int]
    metrics: dict[str, float]
    source: str
    gflops: float | None = None


def published_results(model: str) -> tuple[PublishedResult, ...]:
    """The results published under a model's name, possibly none.

    No public code builds RSN-50 and larger networks of the published complexity, so it is unknown which network a row
    belongs to: `rsn50` and our `rsn50-wide` have the same rows.
    """
    name = model.removesuffix("-wide")
    return tuple(_result(row) for row in read_table("published_results") if row["model"] == name)


@cache
def read_table(name: str) -> tuple[dict[str, str], ...]:
    """The rows of one of the CSV files in the package, by column."""
    text = (resources.files("rsn") / "weights" / f"{name}.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))


def _result(row: dict[str, str]) -> PublishedResult:
    metrics = list(row)[_FIRST_METRIC:-1]
    return PublishedResult(
        row["dataset"],
        (int(row["height"]), int(row["width"])),
        {name: float(row[name]) for name in metrics if row[name]},
        row["source"],
        float(row["gflops"]) if row["gflops"] else None,
    )


# What `rsn.models.complexity` measures at 256x192 with 17 keypoints; measuring all networks takes half a minute.
MEASURED_COMPLEXITY = {
    row["model"]: Complexity(int(row["parameters"]), int(row["multiply_adds"])) for row in read_table("complexity")
}
