"""Writing files so that nobody ever meets half of one."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os.path import isdir
from pathlib import Path
from secrets import token_hex

from rsn.errors import RsnError


@contextmanager
def atomic_replace(path: Path) -> Iterator[Path]:
    """A file to write in the block; at its end it becomes `path`, and after an error it is gone.

    Raises:
        RsnError: the folder does not exist, may not be written to, or the disk is full.
    """
    # In the same folder, since renaming cannot cross file systems.
    temporary = path.parent / f".{token_hex(8)}.part"
    try:
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise RsnError(f"cannot write {path}: {reason}; choose a folder that can be written to") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path`: afterwards there is the new file or, after an error, what was there before.

    Raises:
        RsnError: as `atomic_replace`.
    """
    with atomic_replace(path) as temporary, open(temporary, "xb") as file:
        file.write(data)


def unique_names(names: Iterable[str]) -> list[str]:
    """The names, those that were there before numbered: a, b, a_2."""
    taken: list[str] = []
    for name in names:
        new, count = name, 1
        while new in taken:
            count += 1
            new = f"{name}_{count}"
        taken.append(new)
    return taken


def make_folder(path: Path) -> None:
    """Make a folder and those above it; one that is there is fine.

    Raises:
        RsnError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RsnError(f"cannot make the folder {path}: {error.strerror or error}; choose another") from error


def check_writable(path: Path) -> None:
    """Make the folder of a file that will be written after long work, and say now what would keep it from that.

    Raises:
        RsnError: the folder cannot be made or written to, or the path is a folder.
    """
    make_folder(path.parent)
    if isdir(path):
        raise RsnError(f"cannot write {path}: it is a folder; name a file")
    if not os.access(path.parent, os.W_OK):
        raise RsnError(f"cannot write {path}: Permission denied; choose a folder that can be written to")
