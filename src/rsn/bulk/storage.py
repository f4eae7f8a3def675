"""Files on this machine and in remote stores, by path or URL, through fsspec."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from rsn.errors import ImageError, MissingDependencyError, RsnError

ATTEMPTS = 3
PAUSE = 1.0  # seconds before the second attempt, two before the third


class UnreachableError(Exception):
    """A store that does not respond. It is no RsnError, because nothing is wrong with the image."""


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
    """Whether a file system is this machine's own."""
    return isinstance(system, LocalFileSystem)


def full_name(system: Any, path: str) -> str:
    """A local path as it is, anything else as a URL."""
    return path if is_local(system) else str(system.unstrip_protocol(path))


@contextmanager
def store_errors(action: str, kind: type[Exception] = RsnError) -> Iterator[None]:
    """Raise any error of the block as "cannot ACTION: ...", because every store's library has its own errors.

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
    """The bytes of a file, after up to three attempts.

    Raises:
        ImageError: the file is missing or must not be read. UnreachableError: the store does not respond.
    """
    system, path = connect(url)
    attempt = 1
    while True:
        try:
            with store_errors(f"read {url}", UnreachableError):
                return bytes(system.cat_file(path))
        except UnreachableError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise ImageError(f"there is no image at {url}; it was there when the run was planned") from error
            if isinstance(error.__cause__, PermissionError | IsADirectoryError):
                raise ImageError(f"cannot read {url}; check its permissions") from error
            if attempt == ATTEMPTS:
                raise
        time.sleep(PAUSE * attempt)
        attempt += 1
