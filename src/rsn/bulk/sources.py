"""Inputs of a run -> parts."""

import warnings
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import ceil

from rsn.bulk.parts import Columns, InputKind, Part
from rsn.bulk.storage import connect, full_name, is_local, store_errors
from rsn.errors import ImageError, RsnWarning
from rsn.io.image_formats import is_image_name, is_unsupported_image_name
from rsn.io.images import describe_skipped

PARTS_PER_WORKER = 4  # at least, so that all workers finish at about the same time
SMALLEST = 16  # images of a part
OPENERS = 16  # threads that open Parquet files


def find_sources(inputs: Sequence[str], columns: Columns, *, outside: str, known: Collection[str] = ()) -> list[Part]:
    """The files of all inputs, each once as one part, sorted within each input.

    Args:
        inputs: paths or URLs of images, tar shards, Parquet files, folders (searched at any depth), or globs.
        columns: the columns that Parquet files must have.
        outside: a folder that is not searched: the output.
        known: files that are skipped, because they are in the plan already.

    Raises:
        ImageError: no files. RsnError: a Parquet file that cannot be read or has no such column.
    """
    urls = {url: None for given in inputs for url in _files(given) if not url.startswith(f"{outside}/")}
    new = [url for url in urls if url not in known]
    with ThreadPoolExecutor(OPENERS) as pool:
        return list(pool.map(lambda url: _source(url, columns), new))


def split_sources(sources: Sequence[Part], *, size: int, workers: int) -> list[Part]:
    """Parts of at most `size` images, or of one tar shard; smaller ones if there are few images per worker."""
    files = [part.urls[0] for part in sources if part.kind == "images"]
    tables = [part for part in sources if part.kind == "parquet"]
    images = len(files) + sum(part.stop for part in tables)
    size = min(size, max(SMALLEST, ceil(images / (PARTS_PER_WORKER * workers))))
    return [
        *(Part("images", tuple(files[start : start + size])) for start in range(0, len(files), size)),
        *(part for part in sources if part.kind == "tar"),
        *(
            Part("parquet", part.urls, start, min(start + size, part.stop))
            for part in tables
            for start in range(0, part.stop, size)
        ),
    ]


def _files(given: str) -> Iterator[str]:
    """The full names of the files of one input."""
    system, path = connect(given)
    is_glob, found, candidates = bool({*"*?["} & set(path)), list[str](), list[str]()
    with store_errors(f"read {given}"):
        # A URL with the suffix of a file is a file: asking a web server whether it is a folder would download it.
        is_file = bool(_kind(path)) and not is_local(system) and not is_glob
        if not is_file and system.isdir(path):
            candidates = sorted(system.find(path))
        elif system.exists(path):
            found = [path]
        elif is_glob:
            candidates = sorted(system.glob(path))
    found = found or [file for file in candidates if _kind(file)]
    unread = [file.rpartition("/")[2] for file in candidates if is_unsupported_image_name(file)]
    if not found:
        hint = f"; {describe_skipped(unread)}" if unread else "; check the name"
        raise ImageError(f"there is no image, tar shard or Parquet file at {given}{hint}")
    if unread:
        warnings.warn(f"{given}: {describe_skipped(unread)}", RsnWarning, stacklevel=3)
    yield from (full_name(system, file) for file in found)


def _kind(path: str) -> InputKind | None:
    name = path.rpartition("/")[2].lower()
    if name.startswith("."):
        return None
    if name.endswith((".tar", ".tar.gz")):
        return "tar"
    if name.endswith((".parquet", ".pq")):
        return "parquet"
    return "images" if is_image_name(name) else None


def _source(url: str, columns: Columns) -> Part:
    kind = _kind(url) or "images"
    if kind != "parquet":
        return Part(kind, (url,))
    import pyarrow.parquet as parquet

    system, path = connect(url)
    with store_errors(f"read {url} as a Parquet file"), system.open(path, "rb") as file:
        table = parquet.ParquetFile(file)
        columns.check(table.schema_arrow, url)
        return Part(kind, (url,), stop=int(table.metadata.num_rows))
