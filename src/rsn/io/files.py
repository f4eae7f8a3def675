"""Write files atomically: either all of a file is there, or none of it."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os.path import isdir
from pathlib import Path
from secrets import token_hex

from rsn.errors import RsnError

PART = ".part"  # suffix of files that are being written


@contextmanager
def atomic_replace(path: Path) -> Iterator[Path]:
    """Yield a temporary file to write, which replaces `path` at the end of the block; an error deletes it.

    Raises:
        RsnError: the folder does not exist or is not writable, or the disk is full.
    """
    # In the same folder, since a file cannot be renamed across file systems.
    temporary = path.parent / f".{token_hex(8)}{PART}"
    try:
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise RsnError(f"cannot write {path}: {reason}; choose a folder that can be written to") from error


def atomic_write(path: Path, data: bytes) -> None:
    """Write `data` to `path`; after an error the previous file is still there.

    Raises:
        RsnError: as `atomic_replace`.
    """
    with atomic_replace(path) as temporary, open(temporary, "xb") as file:
        file.write(data)


def unique_names(names: Iterable[str]) -> list[str]:
    """Make names unique by numbering repeated ones: a, b, A -> a, b, A_2 (Windows and macOS do not tell A from a)."""
    unique: dict[str, str] = {}  # by what file systems compare
    for name in names:
        new, count = name, 1
        while new.casefold() in unique:
            count += 1
            new = f"{name}_{count}"
        unique[new.casefold()] = new
    return list(unique.values())


def make_folder(path: Path) -> None:
    """Create a folder and its parents, if they do not exist yet.

    Raises:
        RsnError: it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RsnError(f"cannot make the folder {path}: {error.strerror or error}; choose another") from error


def check_writable(path: Path) -> None:
    """Create the folder of a file, and check before long work that the file can be written.

    Raises:
        RsnError: the folder cannot be created or written to, or the path is a folder.
    """
    make_folder(path.parent)
    if isdir(path):
        raise RsnError(f"cannot write {path}: it is a folder; name a file")
    if not os.access(path.parent, os.W_OK):
        raise RsnError(f"cannot write {path}: Permission denied; choose a folder that can be written to")
