"""Files from the network: resumed, tried again, checked, and never half there."""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from rsn.errors import DownloadError
from rsn.files import make_folder

MOST_BYTES = 2 << 30  # far above the largest weights, far below a disk
CHUNK = 1 << 18
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # answers that another try may better


def download(
    url: str,
    target: Path,
    *,
    sha256_prefix: str,
    attempts: int = 5,
    pause: float = 0.5,
    timeout: float = 30.0,
) -> None:
    """Fetch a file, unless it is there already; a process that finds another one at it waits for that one.

    What has come is kept in TARGET.part and gone on from, within a call and from one call to the next. The proxies
    of the environment are used (http_proxy, https_proxy, no_proxy).

    Args:
        url: http or https.
        target: where the file lands once it is whole and its hash is right.
        sha256_prefix: hexadecimal digits that the file's SHA-256 begins with.
        attempts: tries in a row that may bring nothing before it is given up.
        pause: seconds before the second try, doubled with each that brings nothing.
        timeout: seconds that the server may stay silent.

    Raises:
        DownloadError: no network, no such file, a file with another hash, or no room for it.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"cannot fetch {url}: only http and https addresses can be")
    make_folder(target.parent)
    part = target.with_name(target.name + ".part")
    try:
        with FileLock(f"{target}.lock"):
            if target.exists():
                return
            begun_before = part.exists()
            _fetch(url, part, attempts, pause, timeout)
            if begun_before and not sha256_of(part).startswith(sha256_prefix):
                part.unlink()  # its beginning may be another file's
                _fetch(url, part, attempts, pause, timeout)
            _check(url, part, sha256_prefix)
            part.replace(target)
    except OSError as error:  # of the disk: those of the network have become DownloadErrors
        raise DownloadError(
            f"cannot write {part}: {error.strerror or error}; make room or choose another folder"
        ) from error


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(url: str, part: Path, sha256_prefix: str) -> None:
    found = sha256_of(part)
    if not found.startswith(sha256_prefix):
        part.unlink()
        raise DownloadError(
            f"what came from {url} is not the file that was meant: its SHA-256 begins with"
            f" {found[: len(sha256_prefix)]}, not {sha256_prefix}; nothing was kept"
        )


def _fetch(url: str, part: Path, attempts: int, pause: float, timeout: float) -> None:
    """Bring `part` to its full length, in as many requests as it takes."""
    fruitless = 0
    while True:
        before = _size(part)
        try:
            if _request(url, part, timeout):
                return
            reason = "the connection was closed in the middle of the file"
        except urllib.error.HTTPError as error:
            reason = f"the server answers {error.code} {error.reason}"
            if error.code not in _PASSING:
                raise DownloadError(f"cannot fetch {url}: {reason}") from error
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        fruitless = 0 if _size(part) > before else fruitless + 1
        if fruitless >= attempts:
            raise DownloadError(
                f"cannot fetch {url}: {reason}, {attempts} times in a row; try again when there is a network: what has"
                " come so far is kept"
            )
        time.sleep(pause * 2 ** max(fruitless - 1, 0))


def _request(url: str, part: Path, timeout: float) -> bool:
    """One request, from where `part` ends; says whether the file is complete now."""
    start = _size(part)
    request = urllib.request.Request(url, headers={"User-Agent": "rsn"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response = urllib.request.build_opener().open(
            request, timeout=timeout
        )  # with the proxies of this moment
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing is left after the end of what we have, or it is longer than the file
            raise
        return _size_of(error) == start or _forget(part)
    with response:
        goes_on = response.status == 206
        start = start if goes_on else 0
        length = response.length
        total = None if length is None else start + length
        if total is not None and total > MOST_BYTES:
            raise DownloadError(f"cannot fetch {url}: {total} bytes are more than weights ever have")
        with open(part, "ab" if goes_on else "wb") as file, _bar(url) as bar:
            task = bar.add_task("", total=total, completed=start)
            while chunk := _read(response):
                file.write(chunk)
                bar.advance(task, len(chunk))
                if file.tell() > MOST_BYTES:
                    raise DownloadError(f"cannot fetch {url}: it does not end within {MOST_BYTES} bytes")
    return total is None or _size(part) == total


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(CHUNK)  # what is there, so that a pause loses nothing
    except OSError as error:  # told apart from the disk's
        raise ConnectionError(str(error)) from error


def _size_of(error: urllib.error.HTTPError) -> int | None:
    """The file's length as a 416 answer tells it: Content-Range: bytes */LENGTH."""
    length = error.headers.get("Content-Range", "").rpartition("/")[2]
    return int(length) if length.isdecimal() else None


def _forget(part: Path) -> bool:
    part.unlink(missing_ok=True)
    return False


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _bar(url: str) -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn(Path(urlsplit(url).path).name),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
