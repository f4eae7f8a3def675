"""Batch processing of very many images with Ray.

    inputs -> parts -> workers (Ray actors that hold the network) -> people/part-000000.parquet, ...

A part is the unit of work: it is written in one piece, repeated after a crash, and skipped by later runs once written.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rsn.results import PoseResult


def read(folder: str) -> "Iterator[tuple[str, PoseResult]]":
    """The name and the `PoseResult` of each image in the `--output` folder of `rsn bulk`, part after part.

    Raises:
        RsnError: the folder has no results. MissingDependencyError: pyarrow is not installed.
    """
    from rsn.extras import require

    require("pyarrow", "fsspec", extra="bulk", feature="reading the results of rsn bulk")
    from rsn.bulk.reading import read_results

    return read_results(str(folder))
