"""Inputs as a user names them -> parts."""

import warnings
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal

from rsn.bulk.parts import TAR_SUFFIXES, Columns, Part
from rsn.bulk.storage import connect, full_name, is_local
from rsn.errors import ImageError, RsnError, RsnWarning
from rsn.image_formats import is_image_name, is_unread_image_name
from rsn.images import left_out

PARTS_A_WORKER = 4  # at least, so that none waits long for the last one
SMALLEST = 16  # photos of a part
OPENERS = 16  # threads that look into Parquet files
_GLOB = frozenset("*?[")
Kind = Literal["photos", "tar", "parquet"]


@dataclass(frozen=True)
class Source:
    """A file that holds photos, or is one. rows: of a Parquet file."""

    kind: Kind
    url: str
    rows: int = 1


def find_sources(
    inputs: Sequence[str], columns: Columns, *, outside: str, known: Collection[str] = ()
) -> list[Source]:
    """The files that inputs mean, each once, sorted within each input.

    Args:
        inputs: paths or URLs of pictures, tar shards, Parquet files, of folders of these at any depth, or globs.
        columns: what is looked for in Parquet files.
        outside: a folder whose files are left out, and with it what an earlier run wrote.
        known: files that are left out, since they were planned before.

    Raises:
        ImageError: nothing there. RsnError: a Parquet file that cannot be read, or has no such column.
    """
    urls = {url: None for given in inputs for url in _files(given) if not url.startswith(f"{outside}/")}
    new = [url for url in urls if url not in known]
    with ThreadPoolExecutor(OPENERS) as pool:
        return list(pool.map(lambda url: _source(url, columns), new))


def cut(sources: Sequence[Source], *, size: int, workers: int) -> list[Part]:
    """Parts of at most `size` photos each, or of one tar shard; smaller ones where there would be few."""
    photos = sum(source.rows for source in sources if source.kind != "tar")
    size = min(size, max(SMALLEST, ceil(photos / (PARTS_A_WORKER * workers))))
    files = [source.url for source in sources if source.kind == "photos"]
    parts = [Part("photos", tuple(files[start : start + size])) for start in range(0, len(files), size)]
    for source in sources:
        if source.kind == "tar":
            parts.append(Part("tar", (source.url,)))
        elif source.kind == "parquet":
            parts += [
                Part("parquet", (source.url,), start, min(start + size, source.rows))
                for start in range(0, source.rows, size)
            ]
    return parts


def _files(given: str) -> Iterator[str]:
    """Full names of what one input means."""
    system, path = connect(given)
    kind, among = _kind(path), list[str]()
    try:
        # A URL that ends like a file is one; asking a web server whether it is a folder would fetch it.
        if (kind and not is_local(system)) and not _GLOB & set(path):
            found = [path] if system.exists(path) else []
        elif system.isdir(path):
            among = sorted(system.find(path))
            found = [file for file in among if _kind(file)]
        elif system.exists(path):
            found = [path]
        else:
            among = sorted(system.glob(path)) if _GLOB & set(path) else []
            found = [file for file in among if _kind(file)]
            kind = None
    except Exception as error:
        raise RsnError(f"cannot read {given}: {error or type(error).__name__}") from error
    unread = [file.rpartition("/")[2] for file in among if is_unread_image_name(file)]
    if not found:
        others = f", but {left_out(unread)}" if unread else "; check the name"
        raise ImageError(f"there is no picture, tar shard or Parquet file at {given}{others}")
    if unread:
        warnings.warn(f"{given}: {left_out(unread)}", RsnWarning, stacklevel=3)
    yield from (full_name(system, file) for file in found)


def _kind(path: str) -> Kind | None:
    name = path.rpartition("/")[2].lower()
    if name.startswith("."):
        return None
    if name.endswith(TAR_SUFFIXES):
        return "tar"
    if name.endswith((".parquet", ".pq")):
        return "parquet"
    return "photos" if is_image_name(name) else None


def _source(url: str, columns: Columns) -> Source:
    kind = _kind(url) or "photos"
    return Source(kind, url, _rows(url, columns)) if kind == "parquet" else Source(kind, url)


def _rows(url: str, columns: Columns) -> int:
    import pyarrow.parquet as parquet

    system, path = connect(url)
    try:
        with system.open(path, "rb") as file:
            table: Any = parquet.ParquetFile(file)
            columns.check(table.schema_arrow, url)
            return int(table.metadata.num_rows)
    except RsnError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RsnError(f"{url} is not a Parquet file that can be read: {reason}") from error
