"""The user's cache folder, and data in it that can always be computed again, found by a key.

Several processes may use the cache at once, and any file in it may be deleted at any time.
"""

import hashlib
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from rsn.errors import RsnError, RsnWarning
from rsn.io.files import PART, atomic_replace, make_folder

CACHE, GRAPH_CACHE = "RSN_CACHE", "RSN_GRAPH_CACHE"  # environment variables
DEFAULT_MEGABYTES = 2000.0
_DIGEST = hashlib.sha256().digest_size  # bytes; each file begins with the hash of the rest
_ABANDONED = 3600.0  # seconds after which an unfinished file belongs to no process any more


def cache_folder() -> Path:
    """The folder for downloads and converted models: RSN_CACHE, else rsn/ in XDG_CACHE_HOME, else ~/.cache/rsn.

    Raises:
        RsnError: RSN_CACHE begins with the home folder of an unknown user.
    """
    folder = os.environ.get(CACHE)
    if not folder:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rsn"
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise RsnError(f"Invalid {CACHE}: expected a folder, got {folder}; write the path in full") from error


def graph_folder() -> Path:
    """The folder for converted networks."""
    return cache_folder() / "graphs"


def max_bytes() -> int:
    """How much `store` keeps: RSN_GRAPH_CACHE in megabytes, 0 to keep nothing.

    Raises:
        RsnError: it is no number from 0.
    """
    text = os.environ.get(GRAPH_CACHE) or str(DEFAULT_MEGABYTES)
    try:
        megabytes = float(text)
    except ValueError:
        megabytes = -1
    if not 0 <= megabytes < float("inf"):
        raise RsnError(f"Invalid {GRAPH_CACHE}: expected a number of megabytes from 0, got {text!r:.80}")
    return int(megabytes * 1e6)


def load(key: str) -> bytes | None:
    """What `store` has kept under this key; None if there is nothing, or if the file is damaged.

    Raises:
        RsnError: as `max_bytes`.
    """
    if not max_bytes():
        return None
    path = graph_folder() / key
    try:
        content = path.read_bytes()
        with suppress(OSError):  # a cache that cannot be written to
            os.utime(path)  # so that `store` removes it last
    except OSError:
        return None
    data = content[_DIGEST:]
    return data if hashlib.sha256(data).digest() == content[:_DIGEST] else None


def store(key: str, data: bytes) -> None:
    """Keep data under a key; the least recently used ones are removed when there is too much.

    A cache that cannot be written to is an `RsnWarning`. Raises RsnError as `max_bytes`.
    """
    limit = max_bytes()
    if not limit:
        return
    try:
        folder = graph_folder()
        make_folder(folder)
        with atomic_replace(folder / key) as temporary, open(temporary, "xb") as file:
            file.write(hashlib.sha256(data).digest())
            file.write(data)
        _remove_oldest(folder, limit)
    except RsnError as error:
        warnings.warn(
            f"{error}; until then each start takes longer, because networks are converted again ({CACHE} sets another"
            f" cache folder, {GRAPH_CACHE}=0 turns this off)",
            RsnWarning,
            stacklevel=2,
        )


def _remove_oldest(folder: Path, limit: int) -> None:
    """Remove the least recently used files above a number of bytes, and what stopped processes left unfinished."""
    total = 0
    for path, size, used in sorted(_files(folder), key=lambda file: -file[2]):
        total += size
        abandoned = path.suffix == PART and time.time() - used > _ABANDONED
        if abandoned or (total > limit and path.suffix != PART):
            with suppress(OSError):  # another process has removed it, or (Windows) reads it
                path.unlink()
                total -= size


def _files(folder: Path) -> Iterator[tuple[Path, int, float]]:
    """Path, bytes, and time of the last use."""
    for path in folder.iterdir():
        with suppress(OSError):
            state = path.stat()
            if path.is_file():
                yield path, state.st_size, state.st_mtime
