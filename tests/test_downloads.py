"""Downloads from a real local server, which also fails in various ways."""

import hashlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from file_server import FileServer, serving
from full_disk import nothing_can_be_written
from rsn.errors import DownloadError, RsnError
from rsn.io.downloads import download
from rsn.io.downloads import fetch as fetch_bytes

DATA = bytes(range(256)) * 3000  # several chunks
SHA256 = hashlib.sha256(DATA).hexdigest()
PROGRAM = "import sys; from pathlib import Path; from rsn.io.downloads import download;"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(DATA) as server:
        yield server


def fetch(server: FileServer, way: str, target: Path, timeout: float = 10.0) -> None:
    download(f"{server.address}/{way}/file.bin", target, sha256_prefix=SHA256[:8], timeout=timeout)


def command(server: FileServer, way: str, target: Path) -> list[str]:
    """Start a process that downloads."""
    call = f"download('{server.address}/{way}/x', Path(sys.argv[1]), sha256_prefix='{SHA256[:8]}')"
    return [sys.executable, "-c", PROGRAM + call, str(target)]


def left(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize("way", ["good", "late"])
def test_download_writes_the_file(server: FileServer, tmp_path: Path, way: str) -> None:
    fetch(server, way, tmp_path / "new" / "file.bin")
    assert (tmp_path / "new" / "file.bin").read_bytes() == DATA
    assert left(tmp_path / "new") == ["file.bin"]


@pytest.mark.parametrize("way", ["wrong", "html"])
def test_download_rejects_another_hash_and_deletes_the_file(server: FileServer, tmp_path: Path, way: str) -> None:
    with pytest.raises(DownloadError, match=f"expected a SHA-256 that begins with {SHA256[:8]}"):
        fetch(server, way, tmp_path / "file.bin")
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("way", "says"),
    [
        ("missing", "the server answers 404"),
        ("busy", "the server answers 503"),
        ("stingy", "closed before the end"),
        ("silent", "timed out"),
    ],
)
def test_failed_download_leaves_no_file(server: FileServer, tmp_path: Path, way: str, says: str) -> None:
    with pytest.raises(DownloadError, match=f"^cannot fetch .*{says}"):
        fetch(server, way, tmp_path / "file.bin", timeout=0.5)
    assert left(tmp_path) == []


def test_download_reports_a_server_that_does_not_answer(tmp_path: Path) -> None:
    with serving(DATA) as server:
        address = server.address
    with pytest.raises(DownloadError, match=r"cannot fetch .*refused.*; try again"):
        download(f"{address}/x", tmp_path / "x", sha256_prefix="")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://localhost/x", "weights.pth"])
def test_download_rejects_other_urls(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="expected an http or https address"):
        download(url, tmp_path / "x", sha256_prefix="")


def test_download_reports_a_full_disk(server: FileServer, tmp_path: Path) -> None:
    with nothing_can_be_written(), pytest.raises(RsnError, match=r"^cannot write .*file\.bin: "):
        fetch(server, "good", tmp_path / "file.bin")
    assert left(tmp_path) == []


def test_killed_download_leaves_no_file(server: FileServer, tmp_path: Path) -> None:
    with subprocess.Popen(command(server, "silent", tmp_path / "x")) as process:
        while not left(tmp_path):
            assert process.poll() is None
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "x").exists()
    fetch(server, "good", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA


def test_two_processes_download_the_same_file(server: FileServer, tmp_path: Path) -> None:
    processes = [subprocess.Popen(command(server, "late", tmp_path / "x"), stderr=subprocess.PIPE) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0], [p.stderr.read() for p in processes]
    assert (tmp_path / "x").read_bytes() == DATA
    assert left(tmp_path) == ["x"]


def test_download_uses_the_proxy_of_the_environment(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is the proxy, which receives the whole URL."""
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server.address)
    download("http://weights.invalid/file.bin", tmp_path / "x", sha256_prefix=SHA256[:8])
    assert (tmp_path / "x").read_bytes() == DATA


def test_fetch_returns_the_content(server: FileServer) -> None:
    assert fetch_bytes(f"{server.address}/good/x", max_bytes=len(DATA)) == DATA


@pytest.mark.parametrize(
    ("way", "says"),
    [
        ("good", "expected at most 1,000 bytes"),
        ("to-ftp", "expected an http or https address, got ftp:"),
        ("missing", "the server answers 404"),
        ("late", "it took more than 0.2 seconds|timed out"),
        ("silent", "timed out|at most 1,000 bytes"),
    ],
)
def test_fetch_rejects_what_it_must_not_read(server: FileServer, way: str, says: str) -> None:
    with pytest.raises(DownloadError, match=says):
        fetch_bytes(f"{server.address}/{way}/x", max_bytes=1000, timeout=0.2)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://localhost/x", "http://", "http://host:port/x"])
def test_fetch_rejects_invalid_urls(url: str) -> None:
    with pytest.raises(DownloadError):
        fetch_bytes(url, max_bytes=1000)
