"""`rsn bulk` with Ray: invalid options, killed processes, clusters."""

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from bulk_images import image, rows_in, unreadable_in, write_images, write_parquet, write_shard
from command import WHOLE
from rsn.bulk.run import Progress
from rsn.bulk.worker import PartResult
from rsn.cli.bulk import Bulk
from rsn.errors import RsnError

Command = Callable[..., CompletedProcess[str]]


def without_ray(*inputs: object, output: object, weights: Path, **options: Any) -> int:
    """The command in this process, for runs that end before Ray starts."""
    given = {"model": str(weights), "boxes": "whole", "device": "cpu", "backend": "torch", "workers": 1}
    settings = given | options
    return Bulk(tuple(map(str, inputs)), str(output), **settings).run()


def test_bulk_rejects_address_without_cluster(tmp_path: Path, random_weights: Path) -> None:
    write_images(tmp_path / "in", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for address in (f"127.0.0.1:{port}", "127.0.0.1", "127.0.0.1:many"):
        with pytest.raises(RsnError, match=f"no Ray cluster responds at {address};"):
            without_ray(tmp_path / "in", output=tmp_path / "out", weights=random_weights, address=address)
    assert rows_in(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"workers": 0}, "must be at least 1"),
        ({"box_threshold": 1.5}, "Invalid box_threshold: expected a number from 0 to 1, got 1.5"),
        ({"person_threshold": -0.1}, "Invalid person_threshold: expected a number from 0 to 1, got -0.1"),
        ({"boxes": "whole", "detector": "dfine"}, "has no effect with --boxes whole"),
        ({"device": "cuda:1"}, "Invalid --device: expected auto, cpu or cuda"),
        ({"boxes": "gone.json"}, "gone.json"),
        ({"model": "gone.safetensors"}, "no such weights file"),
    ],
)
def test_bulk_rejects_invalid_options(tmp_path: Path, random_weights: Path, options: dict[str, Any], text: str) -> None:
    write_images(tmp_path / "in", 1)
    with pytest.raises(RsnError, match=text):
        without_ray(tmp_path / "in", output=tmp_path / "out", weights=random_weights, **options)
    assert not (tmp_path / "out").exists()


def test_bulk_rejects_inputs_without_images_and_writes_nothing(tmp_path: Path, random_weights: Path) -> None:
    (tmp_path / "in").mkdir()
    write_parquet(tmp_path / "a.parquet", {"other": [b"1"]})
    for given in (tmp_path / "in", tmp_path / "a.parquet"):
        with pytest.raises(RsnError, match=r"there is no image|no column of"):
            without_ray(given, output=tmp_path / "out", weights=random_weights)
    assert not (tmp_path / "out" / "settings.json").exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_bulk_rejects_read_only_output_folder(tmp_path: Path, random_weights: Path) -> None:
    write_images(tmp_path / "in", 1)
    (tmp_path / "out").mkdir(mode=0o555)
    with pytest.raises(RsnError, match="choose a folder that can be written to"):
        without_ray(tmp_path / "in", output=tmp_path / "out", weights=random_weights)


def test_bulk_rejects_file_as_output_folder(tmp_path: Path, random_weights: Path) -> None:
    write_images(tmp_path / "in", 1)
    (tmp_path / "out").write_text("a file")
    with pytest.raises(RsnError, match="cannot make the folder"):
        without_ray(tmp_path / "in", output=tmp_path / "out", weights=random_weights)


def test_bulk_reports_that_ray_does_not_start(tmp_path: Path, random_weights: Path) -> None:
    """In a separate process, because Ray's libraries affect the process that loads them."""
    write_images(tmp_path / "in", 1)
    a_byte = "from rsn.bulk import cluster; cluster.OBJECT_STORE = 1"  # Ray wants megabytes
    command = [
        sys.executable, "-c", f"{a_byte}; from rsn.cli import main; main()", "bulk", tmp_path / "in",
        *WHOLE, "--output", tmp_path / "out", "--model", random_weights, "--device", "cpu", "--backend", "torch",
    ]  # fmt: skip
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert re.fullmatch(r"rsn: Ray does not start on this machine: .*; if the machine is busy.*\n", done.stderr)
    assert rows_in(tmp_path / "out") == []


def descendants(process: int) -> dict[int, str]:
    """Command lines of all descendants of a process (Linux)."""
    parents, commands = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                status = (entry / "stat").read_text().rpartition(")")[2].split()
                commands[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
            parents[int(entry.name)] = int(status[1])
    below = {process}
    while more := {child for child, parent in parents.items() if parent in below} - below:
        below |= more
    return {child: commands[child] for child in below - {process}}


@pytest.fixture
def begun(tmp_path: Path, random_weights: Path) -> Iterator[subprocess.Popen[str]]:
    """A run of two workers over 160 images in parts of 16, after the first part."""
    write_images(tmp_path / "in", 160)
    command = [
        sys.executable, "-m", "rsn", "bulk", tmp_path / "in", *WHOLE, "--output", tmp_path / "out",
        "--workers", "2", "--model", random_weights, "--device", "cpu", "--backend", "torch", "--images-per-part", "16",
    ]  # fmt: skip
    told = ""
    for _ in range(3):
        with subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True) as process:
            try:
                while not list((tmp_path / "out").glob("people/*.parquet")) and process.poll() is None:
                    time.sleep(0.02)
                if process.poll() is None:
                    yield process
                    return
                told = process.communicate()[1]
            finally:
                process.kill()
        if "timed out during startup" not in told:  # Ray waits for 30 seconds, too few on a very busy machine
            break
    pytest.fail(told)


def images_of(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(Path(row["image"]).name for row in rows)


EVERY_IMAGE_ONCE = Counter(f"{number:04d}.png" for number in range(160))


def test_bulk_repeats_part_of_killed_worker(
    begun: subprocess.Popen[str], tmp_path: Path, random_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workers = [child for child, command in descendants(begun.pid).items() if "MapWorker" in command]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    _, told = begun.communicate(timeout=280)
    assert begun.returncode == 0, told
    assert re.search(r"parts: 10 of 10, .* images/s; people: \d+, by torch on cpu; ", told)
    assert images_of(rows_in(tmp_path / "out")) == EVERY_IMAGE_ONCE
    assert without_ray(tmp_path / "in", output=tmp_path / "out", weights=random_weights) == 0
    assert "all 10 parts were already finished" in capsys.readouterr().err


def test_progress_shows_throughput_and_time_left() -> None:
    progress = Progress(parts=10, finished_before=2, started=time.monotonic() - 100)
    for number in range(2):
        progress.add(PartResult(number, images=50, people=60))
    assert progress.line() == "parts: 4 of 10, images: 100, 1.0 images/s, 5 min left"


@pytest.mark.slow
def test_bulk_continues_killed_run(begun: subprocess.Popen[str], tmp_path: Path, bulk: Command) -> None:
    others = descendants(begun.pid)
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    while any(Path(f"/proc/{child}").exists() for child in others):
        time.sleep(0.1)  # Ray's processes end with the one that started them
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "people").glob("*.parquet")}
    assert 1 <= len(before) < 10
    (tmp_path / "out" / "people" / ".0123.part").write_bytes(b"half of a file")
    write_images(tmp_path / "in" / "new", 0)
    (tmp_path / "in" / "new" / "late.png").write_bytes(image(0))
    done = bulk(tmp_path / "in", "--output", tmp_path / "out", workers=2)
    assert done.returncode == 0, done.stderr
    assert f"parts: 11 of 11, images: {161 - 16 * len(before)}" in done.stderr
    assert images_of(rows_in(tmp_path / "out")) == EVERY_IMAGE_ONCE + Counter(["late.png"])
    assert all(path.stat().st_mtime_ns == time_ for path, time_ in before.items())
    assert not list((tmp_path / "out" / "people").glob(".*"))


@pytest.mark.slow
def test_bulk_reads_all_input_kinds_in_one_run(bulk: Command, tmp_path: Path) -> None:
    write_images(tmp_path / "in", 3)
    (tmp_path / "in" / "broken.png").write_bytes(b"no image")
    write_shard(tmp_path / "in" / "shard.tar", {f"{number}.png": image(number) for number in range(4)})
    table = {"image": [image(number) for number in range(5)], "id": list("abcde")}
    write_parquet(tmp_path / "table.parquet", table)
    inputs = [tmp_path / "in", tmp_path / "*.parquet", "--output", tmp_path / "out", "--name-column", "id"]
    done = bulk(*inputs)
    assert done.returncode == 1
    assert all(line.startswith("rsn: ") for line in done.stderr.splitlines()), done.stderr
    assert "parts: 3 of 3, images: 12," in done.stderr
    assert done.stderr.count("images/s; people: 12, by torch on cpu; ") == 1
    assert "1 images could not be processed" in done.stderr
    folder = f"{tmp_path}/in"
    assert sorted(row["image"] for row in rows_in(tmp_path / "out")) == sorted(
        [*(f"{folder}/{number:04d}.png" for number in range(3)), *"abcde"]
        + [f"{folder}/shard.tar/{number}.png" for number in range(4)]
    )
    assert [entry["image"] for entry in unreadable_in(tmp_path / "out")] == [f"{folder}/broken.png"]
    again = bulk(*inputs)
    assert (again.returncode, again.stderr) == (
        0,
        f"rsn: all 3 parts were already finished; {tmp_path}/out/people\n",
    )
    other = bulk(*inputs, "--flip")
    assert other.returncode == 1
    assert other.stderr == (
        f"rsn: {tmp_path}/out belongs to a run with flip False, not True; choose another --output, or use the same"
        " settings\n"
    )


@pytest.mark.slow
def test_bulk_runs_on_ray_cluster(bulk: Command, tmp_path: Path) -> None:
    write_images(tmp_path / "in", 20)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    head = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={port}", "--num-cpus=2",
        "--include-dashboard=false", "--object-store-memory=100000000",
        f"--temp-dir=/tmp/rsn-test-{os.getpid()}",  # short, since the names of sockets in it must be
    ]  # fmt: skip
    token = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with subprocess.Popen(head, stdout=subprocess.PIPE, text=True, env=token) as cluster:
        try:
            assert any("Ray runtime started" in line for line in cluster.stdout or ())
            address = ["--address", f"127.0.0.1:{port}"]
            stranger = bulk(tmp_path / "in", "--output", tmp_path / "out", *address)
            assert re.fullmatch(r"rsn: Ray cannot join the cluster at .*set RAY_AUTH_MODE=.*\n", stranger.stderr)
            done = bulk(tmp_path / "in", "--output", tmp_path / "out", *address, env=token)
            assert done.returncode == 0, done.stderr
            assert len(rows_in(tmp_path / "out")) == 20
            refused = bulk(tmp_path / "in", "--output", tmp_path / "many", *address, workers=3, env=token)
            assert refused.stderr.endswith("has 2 cores, too few for 3 workers\n"), refused.stderr
        finally:
            cluster.terminate()
