"""Download files: checked by hash and written atomically, or of limited size and kept in memory."""

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from rsn.errors import DownloadError
from rsn.io.files import atomic_replace, make_folder

_CHUNK = 1 << 18  # bytes


def download(url: str, target: Path, *, sha256_prefix: str, timeout: float = 30.0) -> None:
    """Download a file; several processes may download the same file at the same time.

    The proxies of the environment are used (http_proxy, https_proxy, no_proxy).

    Args:
        url: http or https.
        target: the path of the file; it exists only once it is complete and its hash is right.
        sha256_prefix: hexadecimal digits that the file's SHA-256 begins with.
        timeout: seconds to wait for an answer of the server.

    Raises:
        DownloadError: no network, no such file, or a file with another hash. RsnError: it cannot be written.
    """
    _check_scheme(url)
    make_folder(target.parent)
    digest = hashlib.sha256()
    with atomic_replace(target) as temporary:
        with open(temporary, "xb") as file:
            for chunk in _chunks(url, timeout):
                file.write(chunk)
                digest.update(chunk)
        found = digest.hexdigest()[: len(sha256_prefix)]
        if found != sha256_prefix:
            raise DownloadError(
                f"Invalid file from {url}: expected a SHA-256 that begins with {sha256_prefix}, got {found}; it was"
                " deleted"
            )


def fetch(url: str, *, max_bytes: int, timeout: float = 30.0) -> bytes:
    """The content of a URL; proxies as for `download`.

    Args:
        url: http or https.
        max_bytes: larger files are refused.
        timeout: seconds that the whole file may take.

    Raises:
        DownloadError: no network, no such file, or a file that is too large or takes too long.
    """
    _check_scheme(url)
    end = monotonic() + timeout
    data = bytearray()
    for chunk in _chunks(url, timeout, show_progress=False):
        data += chunk
        if len(data) > max_bytes:
            raise DownloadError(f"Invalid file from {url}: expected at most {max_bytes:,} bytes, got more")
        if monotonic() > end:
            raise DownloadError(f"cannot fetch {url}: it took more than {timeout:g} seconds")
    return bytes(data)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only."""

    def redirect_request(self, *args: Any) -> urllib.request.Request | None:
        _check_scheme(args[-1])
        return super().redirect_request(*args)


def _check_scheme(url: str) -> None:
    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"Invalid URL: expected an http or https address, got {url}")


def _chunks(url: str, timeout: float, *, show_progress: bool = True) -> Iterator[bytes]:
    opener = urllib.request.build_opener(_Redirects)  # a new one reads the proxies of the environment again
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "rsn"})
        with opener.open(request, timeout=timeout) as response, _progress_bar(url, show_progress) as bar:
            task = bar.add_task("", total=response.length)
            while chunk := response.read1(_CHUNK):
                bar.advance(task, len(chunk))
                yield chunk
            if response.length:  # bytes that are missing
                raise ConnectionError("the connection was closed before the end of the file")
    except urllib.error.HTTPError as error:
        raise DownloadError(f"cannot fetch {url}: the server answers {error.code} {error.reason}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: a URL without a host
        reason = str(getattr(error, "reason", error)) or type(error).__name__
        raise DownloadError(f"cannot fetch {url}: {reason}; try again when the network is available") from error


def _progress_bar(url: str, shown: bool) -> Progress:
    console = Console(stderr=True)
    columns = (
        TextColumn(Path(urlsplit(url).path).name),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=not (shown and console.is_terminal))
