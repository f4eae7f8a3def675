"""The cache keeps bytes by key: bounded, whole or not at all, for several processes at once."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from full_disk import nothing_can_be_written
from rsn.errors import RsnError, RsnWarning
from rsn.io import cache


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RSN_CACHE", str(tmp_path))
    monkeypatch.delenv("RSN_GRAPH_CACHE", raising=False)
    return tmp_path / "graphs"


def test_stored_data_is_found_by_its_key(folder: Path) -> None:
    assert cache.load("a") is None
    cache.store("a", b"first")
    cache.store("b", b"")
    cache.store("a", b"second")
    assert (cache.load("a"), cache.load("b"), cache.load("c")) == (b"second", b"", None)
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: b"", lambda data: data[:40] + b"x" + data[41:]]
)
def test_damaged_file_counts_as_missing_and_is_replaced(damage, folder: Path) -> None:
    cache.store("a", bytes(100))
    (folder / "a").write_bytes(damage((folder / "a").read_bytes()))
    assert cache.load("a") is None
    cache.store("a", bytes(100))
    assert cache.load("a") == bytes(100)


def test_least_recently_used_files_are_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSN_GRAPH_CACHE", "0.01")  # 10,000 bytes
    for age, key in enumerate("abc", start=-3):
        cache.store(key, bytes(3000))
        os.utime(folder / key, (time.time() + age, time.time() + age))
    assert cache.load("a") == bytes(3000)
    cache.store("d", bytes(3000))
    assert {key for key in "abcd" if cache.load(key)} == {"a", "c", "d"}
    cache.store("e", bytes(10_001))
    assert {path.name for path in folder.iterdir()} == {"a", "c", "d"}, "too large to be kept"


def test_files_of_stopped_processes_are_removed(folder: Path) -> None:
    cache.store("a", b"1")
    old, new = folder / ".1.part", folder / ".2.part"
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 7200,) * 2)
    cache.store("b", b"2")
    assert (old.exists(), new.exists()) == (False, True)


def test_cache_is_off_if_it_may_keep_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.store("a", b"1")
    monkeypatch.setenv("RSN_GRAPH_CACHE", "0")
    cache.store("b", b"2")
    assert cache.load("a") is cache.load("b") is None
    assert [path.name for path in folder.iterdir()] == ["a"]


@pytest.mark.parametrize("value", ["-1", "much", "nan", "inf"])
def test_invalid_size_is_rejected(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSN_GRAPH_CACHE", value)
    with pytest.raises(
        RsnError, match=f"Invalid RSN_GRAPH_CACHE: expected a number of megabytes from 0, got '{value}'"
    ):
        cache.load("a")


def test_unwritable_cache_is_reported_and_does_no_harm(folder: Path) -> None:
    cache.store("a", b"1")
    with nothing_can_be_written():
        assert cache.load("a") == b"1"
        with pytest.warns(
            RsnWarning, match=r"^cannot write .*/b: File too large.*; until then each start takes longer"
        ):
            cache.store("b", b"2")
    assert [path.name for path in folder.iterdir()] == ["a"]


def test_two_processes_write_and_read_one_key(folder: Path) -> None:
    """Each finds nothing, or all of what one of them has written."""
    program = """
import sys
from rsn.io import cache
data = sys.argv[1].encode() * 500_000
for _ in range(40):
    cache.store("key", data)
    found = cache.load("key")
    assert found is not None and len(found) == 500_000 and len(set(found)) == 1
"""
    running = [subprocess.Popen([sys.executable, "-c", program, letter], stderr=subprocess.PIPE) for letter in "ab"]
    assert [process.communicate()[1] for process in running] == [b"", b""]
    assert [path.name for path in folder.iterdir()] == ["key"]
