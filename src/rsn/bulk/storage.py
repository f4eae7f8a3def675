"""Files of this machine and of stores, by path or URL, through fsspec."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from rsn.errors import ImageError, MissingDependencyError, RsnError

ATTEMPTS = 3
PAUSE = 1.0  # seconds before the second attempt, twice as many before the third


class UnreachableError(Exception):
    """A store that does not answer. That says nothing about an image, so it is no RsnError of one."""


def connect(url: str) -> tuple[Any, str]:
    """The file system of a path or URL, and the path in it; local paths become absolute.

    Raises:
        MissingDependencyError: the library for such URLs is not installed. RsnError: an unknown kind of URL.
    """
    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise MissingDependencyError(f"{url}: {str(error).splitlines()[0]}") from error
    except ValueError as error:
        raise RsnError(f"{url}: {error}; give a path, or a URL such as s3://bucket/folder") from error
    return system, str(path)


def is_local(system: Any) -> bool:
    """Whether it is this machine's own file system."""
    return isinstance(system, LocalFileSystem)


def full_name(system: Any, path: str) -> str:
    """A local path as it is, anything else as a URL."""
    return path if is_local(system) else str(system.unstrip_protocol(path))


@contextmanager
def store_errors(action: str, kind: type[Exception] = RsnError) -> Iterator[None]:
    """Raise whatever fails in the block as an error "cannot ACTION: ...", since every store library has its own.

    An RsnError passes unchanged.
    """
    try:
        yield
    except RsnError:
        raise
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise kind(f"cannot {action}: {reason}") from error


def read_bytes(url: str) -> bytes:
    """A file's bytes; a store that fails is asked three times.

    Raises:
        ImageError: there is no such file, or it may not be read. UnreachableError: the store does not answer.
    """
    system, path = connect(url)
    for attempt in range(1, ATTEMPTS):
        try:
            return _read(system, path, url)
        except UnreachableError:
            time.sleep(PAUSE * attempt)
    return _read(system, path, url)


def _read(system: Any, path: str, url: str) -> bytes:
    with store_errors(f"read {url}", UnreachableError):
        try:
            return bytes(system.cat_file(path))
        except FileNotFoundError as error:
            raise ImageError(f"there is no image at {url}; it was there when the run was planned") from error
        except (PermissionError, IsADirectoryError) as error:
            raise ImageError(f"cannot read {url}; check its permissions") from error
