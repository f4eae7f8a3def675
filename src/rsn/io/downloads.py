"""Files from the network: their hash is checked, and none is ever half there."""

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from rsn.errors import DownloadError
from rsn.io.files import atomic_replace, make_folder

_CHUNK = 1 << 18  # bytes


def download(url: str, target: Path, *, sha256_prefix: str, timeout: float = 30.0) -> None:
    """Download a file; any number of processes may download the same one at once.

    The proxies of the environment are used (http_proxy, https_proxy, no_proxy).

    Args:
        url: http or https.
        target: where the file is once it is complete and its hash is right; until then nothing is there.
        sha256_prefix: hexadecimal digits that the file's SHA-256 begins with.
        timeout: seconds that the server may stay silent.

    Raises:
        DownloadError: no network, no such file, or a file with another hash. RsnError: it cannot be written.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"cannot fetch {url}: only http and https addresses can be")
    make_folder(target.parent)
    digest = hashlib.sha256()
    with atomic_replace(target) as unfinished:
        with open(unfinished, "xb") as file:
            for chunk in _chunks(url, timeout):
                file.write(chunk)
                digest.update(chunk)
        found = digest.hexdigest()[: len(sha256_prefix)]
        if found != sha256_prefix:
            raise DownloadError(
                f"what came from {url} is not the file that was meant: its SHA-256 begins with {found}, not"
                f" {sha256_prefix}; nothing was kept"
            )


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _chunks(url: str, timeout: float) -> Iterator[bytes]:
    request = urllib.request.Request(url, headers={"User-Agent": "rsn"})
    opener = urllib.request.build_opener()  # a new one has the proxies of this moment
    try:
        with opener.open(request, timeout=timeout) as response, _bar(url) as bar:
            task = bar.add_task("", total=response.length)
            while chunk := response.read1(_CHUNK):
                bar.advance(task, len(chunk))
                yield chunk
            if response.length:  # bytes that have not come
                raise ConnectionError("the connection was closed in the middle of the file")
    except urllib.error.HTTPError as error:
        raise DownloadError(f"cannot fetch {url}: the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = str(getattr(error, "reason", error)) or type(error).__name__
        raise DownloadError(
            f"cannot fetch {url}: {reason}; try again when the network is available"
        ) from error


def _bar(url: str) -> Progress:
    console = Console(stderr=True)
    name = TextColumn(Path(urlsplit(url).path).name)
    return Progress(
        name,
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
