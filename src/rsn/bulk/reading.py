"""Read the results of a run back."""

import io
import json
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from rsn.bulk.output import PEOPLE, Output
from rsn.errors import RsnError
from rsn.results import Person, PoseResult
from rsn.skeletons import Skeleton

ROWS = 1000  # that become Python objects at a time


def read_results(folder: str) -> Iterator[tuple[str, PoseResult]]:
    """The name and the persons of each image, in the order of the parts; see `rsn.bulk.read`.

    One file and a few of its rows are in memory at a time.
    """
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    output = Output(folder)
    files = sorted(name for name in output.names(PEOPLE) if name.endswith(".parquet"))
    if not files:
        raise RsnError(f"{folder} has no {PEOPLE}/*.parquet; is it the --output of rsn bulk?")
    for name in files:
        try:
            file = parquet.ParquetFile(io.BytesIO(output.read(f"{PEOPLE}/{name}")))
            names = json.loads((file.schema_arrow.metadata or {})[b"rsn.keypoints"])
        except (arrow.ArrowException, KeyError) as error:
            raise RsnError(f"{folder}/{PEOPLE}/{name} was not written by rsn bulk ({error})") from error
        skeleton = Skeleton.from_names("keypoints", names)
        batches = file.iter_batches(batch_size=ROWS)
        for image, group in groupby((row for batch in batches for row in batch.to_pylist()), itemgetter("image")):
            rows = list(group)
            people = tuple(Person.from_dict(row, skeleton) for row in rows if row["person"] is not None)
            yield image, PoseResult(people, skeleton, (rows[0]["height"], rows[0]["width"]))
