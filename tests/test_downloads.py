"""Downloads, from a real server that behaves as servers do."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from file_server import FileServer, serving
from rsn.downloads import download
from rsn.errors import DownloadError

DATA = bytes(range(256)) * 3000  # several chunks
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(DATA) as server:
        yield server


def fetch(server: FileServer, way: str, target: Path, **options: float) -> None:
    settings = {"attempts": 3, "pause": 0.01, "timeout": 10} | options
    download(f"{server.address}/{way}/file.bin", target, sha256_prefix=SHA256[:8], **settings)


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


@pytest.mark.parametrize("way", ["good", "busy", "cut", "silent", "stubborn", "late"])
def test_a_file_arrives_whole(server: FileServer, tmp_path: Path, way: str) -> None:
    """At once, after refusals, after a cut, after silence, where the server cannot resume, and after a pause."""
    fetch(server, way, tmp_path / "new" / "file.bin", timeout=1.0)
    assert (tmp_path / "new" / "file.bin").read_bytes() == DATA
    assert left(tmp_path / "new") == {"file.bin"}
    if way in ("cut", "silent"):
        assert server.ranges == [f"bytes={len(DATA) // 2}-"]


def test_what_is_there_is_not_fetched_again(server: FileServer, tmp_path: Path) -> None:
    fetch(server, "good", tmp_path / "file.bin")
    fetch(server, "good", tmp_path / "file.bin")
    assert server.requests["good"] == 1


@pytest.mark.parametrize("way", ["wrong", "html"])
def test_another_file_is_refused_and_not_kept(server: FileServer, tmp_path: Path, way: str) -> None:
    with pytest.raises(DownloadError, match=f"not the file that was meant.*not {SHA256[:8]}"):
        fetch(server, way, tmp_path / "file.bin")
    assert left(tmp_path) == set()


def test_a_file_that_is_not_there_is_not_asked_for_twice(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="404"):
        fetch(server, "missing", tmp_path / "file.bin")
    assert server.requests["missing"] == 1


def test_a_file_that_vanishes_in_the_middle(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="404"):
        fetch(server, "vanishing", tmp_path / "file.bin")
    assert not (tmp_path / "file.bin").exists()
    fetch(server, "good", tmp_path / "file.bin")  # goes on where the other way ended
    assert server.ranges[-1] == f"bytes={len(DATA) // 2}-"
    assert (tmp_path / "file.bin").read_bytes() == DATA


def test_a_server_that_always_stops_halfway_is_given_up(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"closed in the middle.*times in a row"):
        fetch(server, "stingy", tmp_path / "file.bin")
    assert server.requests["stingy"] <= 5
    assert not (tmp_path / "file.bin").exists()


@pytest.mark.parametrize("begun", [b"something else", DATA + b"more", DATA])
def test_a_beginning_that_is_not_this_files_is_thrown_away(
    server: FileServer, tmp_path: Path, begun: bytes
) -> None:
    (tmp_path / "file.bin.part").write_bytes(begun)
    fetch(server, "good", tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == DATA


def test_nobody_listens(tmp_path: Path) -> None:
    with serving(DATA) as server:
        address = server.address
    with pytest.raises(DownloadError, match=r"cannot fetch .*3 times in a row"):
        download(f"{address}/x", tmp_path / "x", sha256_prefix="", attempts=3, pause=0.01)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://localhost/x", "weights.pth"])
def test_other_addresses_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="only http and https"):
        download(url, tmp_path / "x", sha256_prefix="")


def test_a_folder_that_cannot_be_written_to(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").mkdir()
    with pytest.raises(DownloadError, match="cannot write"):
        fetch(server, "good", tmp_path / "file.bin")


def test_two_processes_fetch_once(server: FileServer, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from rsn.downloads import download;"
        f"download('{server.address}/late/x', Path(sys.argv[1]), sha256_prefix='{SHA256[:8]}')"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "x")]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0], [process.stderr.read() for process in both]
    assert server.requests["late"] == 1
    assert (tmp_path / "x").read_bytes() == DATA


def test_a_proxy_of_the_environment_is_used(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server plays the proxy: it sees the whole address that is asked for."""
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server.address)
    download("http://weights.invalid/file.bin", tmp_path / "x", sha256_prefix=SHA256[:8], attempts=1)
    assert (tmp_path / "x").read_bytes() == DATA
