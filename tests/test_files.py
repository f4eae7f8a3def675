"""Files are written completely or not at all."""

import os
import stat
from pathlib import Path

import pytest

from rsn.errors import RsnError
from rsn.io.files import atomic_write


def test_atomic_write_replaces_files(tmp_path: Path) -> None:
    path = tmp_path / "übung.json"
    atomic_write(path, b"old")
    atomic_write(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_write_uses_default_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").write_bytes(b"")
    atomic_write(tmp_path / "written", b"")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "written")]
    assert modes[0] == modes[1]


@pytest.mark.parametrize("name", ["missing/a.json", "file/a.json", "folder"])
def test_atomic_write_names_the_problem(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RsnError, match="cannot write .*" + name) as caught:
        atomic_write(tmp_path / name, b"new")
    assert "\n" not in str(caught.value)
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["file", "folder"]


def test_failed_write_keeps_the_previous_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights"
    atomic_write(path, b"old")

    def disk_full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", disk_full)
    monkeypatch.setattr(Path, "replace", disk_full)
    with pytest.raises(RsnError, match="No space left"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_interruption_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(source: object, target: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(tmp_path / "weights", b"new")
    assert list(tmp_path.iterdir()) == []
