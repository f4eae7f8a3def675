"""Files here and elsewhere, by path or URL, through fsspec."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from rsn.errors import DeviceError, ImageError, RsnError
from rsn.files import make_folder, write_atomically

ATTEMPTS = 3
PAUSE = 1.0  # seconds before the second attempt, twice as many before the third


class UnreachableError(Exception):
    """A store that does not answer. That says nothing about a photo, so it is no RsnError of one."""


def connect(url: str) -> tuple[Any, str]:
    """The file system of a path or URL, and the path in it; local paths become absolute.

    Raises:
        DeviceError: the library for such URLs is not installed. RsnError: nobody knows such URLs.
    """
    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise DeviceError(f"{url}: {str(error).splitlines()[0]}") from error
    except ValueError as error:
        raise RsnError(f"{url}: {error}; give a path, or a URL such as s3://bucket/folder") from error
    return system, str(path)


def is_local(system: Any) -> bool:
    """Whether it is this machine's own file system."""
    return isinstance(system, LocalFileSystem)


def full_name(system: Any, path: str) -> str:
    """A local path as it is, anything else as a URL."""
    return path if is_local(system) else str(system.unstrip_protocol(path))


def read_bytes(url: str) -> bytes:
    """A file's bytes; a store that fails is asked three times.

    Raises:
        ImageError: there is no such file, or it may not be read. UnreachableError: the store does not answer.
    """
    system, path = connect(url)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return bytes(system.cat_file(path))
        except FileNotFoundError as error:
            raise ImageError(f"there is no image at {url}; it was there when the run was planned") from error
        except (PermissionError, IsADirectoryError) as error:
            raise ImageError(f"cannot read {url}; check its permissions") from error
        except Exception as error:  # every library has its own ways of not reaching a store
            if attempt == ATTEMPTS:
                raise UnreachableError(f"cannot read {url}: {error or type(error).__name__}") from error
        time.sleep(PAUSE * attempt)
    raise AssertionError("the last attempt returns or raises")


class Folder:
    """Where a run writes: a local folder, or a URL of a store whose files appear whole (S3 and GCS are such).

    Raises:
        RsnError: it cannot be made.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._system, self._path = connect(url)
        self.local = Path(self._path) if is_local(self._system) else None

    def name(self) -> str:
        """The folder as sources name files."""
        return full_name(self._system, self._path).rstrip("/")

    def write(self, name: str, data: bytes) -> None:
        """Write a file in one piece, over one that is there.

        Raises:
            RsnError: it cannot be written.
        """
        if self.local is not None:
            make_folder((self.local / name).parent)
            return write_atomically(self.local / name, data)
        try:
            self._system.pipe_file(f"{self._path}/{name}", data)
        except Exception as error:
            raise RsnError(f"cannot write {self.url}/{name}: {error or type(error).__name__}") from error

    def read(self, name: str) -> bytes | None:
        """A file's bytes; None where it is not there.

        Raises:
            RsnError: it cannot be read.
        """
        try:
            return bytes(self._system.cat_file(f"{self._path}/{name}"))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise RsnError(f"cannot read {self.url}/{name}: {error or type(error).__name__}") from error

    def remove(self, name: str) -> None:
        """Remove a file that nobody needs any more; a store that does not let us keeps it."""
        with suppress(Exception):
            self._system.rm_file(f"{self._path}/{name}")

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder below this one; none where it is not there."""
        try:
            found = self._system.ls(f"{self._path}/{folder}", detail=False, refresh=True)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise RsnError(f"cannot list {self.url}/{folder}: {error or type(error).__name__}") from error
        return [str(path).rpartition("/")[2] for path in found]
