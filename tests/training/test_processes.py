"""Training in several processes and in parts of batches gives the same weights."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from rsn.data.loading import Interval, Shard, ShuffledBatches
from rsn.distributed import DistributedInfo
from rsn.errors import RecipeError, RsnError, RsnWarning
from rsn.training.recipe import read_recipe
from rsn.training.run import train
from rsn.weights.checkpoints import read_tensors
from two_hosts import lacking, two_hosts

# In float64, so that only rounding differs.
EXACT = ("compute.precision=64-true", "optimization.steps=2")
RUN = ("-m", "rsn", "train")


def free_port() -> str:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return str(door.getsockname()[1])


@pytest.fixture(scope="module")
def alone(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    # Batch norms get the same crops together as in two processes: half a batch.
    train(read_recipe(recipe_file, (f"output={folder}", "compute.accumulate_grad_batches=2", *EXACT)))
    return folder


def assert_same_run(folder: Path, expected: Path) -> None:
    weights = read_tensors(expected / "last.safetensors")
    for key, value in read_tensors(folder / "last.safetensors").items():
        if "running_" not in key and "num_batches" not in key:  # statistics are those of the first process's crops
            torch.testing.assert_close(value, weights[key], atol=1e-5, rtol=1e-5, msg=key)


def test_two_processes_train_the_weights_of_one(alone: Path, recipe_file: Path, tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    settings = ["--set", *EXACT, f"output={tmp_path}"]
    done = subprocess.run([*torchrun, *RUN, recipe_file, *settings], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("step 2/2") == 1
    assert_same_run(tmp_path, alone)


@pytest.fixture
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[str]]]:
    """The prefixes of commands that run them on one of two hosts."""
    if reason := lacking():
        pytest.skip(reason)
    with two_hosts(tmp_path_factory.mktemp("hosts")) as commands:
        yield commands


def on_both(hosts: dict[str, list[str]], *arguments: object) -> list[subprocess.Popen[str]]:
    """The training command of docs/train.md, started on each."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    meeting = ["--rdzv-backend=c10d", f"--rdzv-endpoint={next(iter(hosts))}:29500"]
    command = [*torchrun, *meeting, *RUN, *map(str, arguments)]
    return [subprocess.Popen([*on, *command], stderr=subprocess.PIPE, text=True) for on in hosts.values()]


@pytest.mark.slow
def test_two_hosts_train_the_weights_of_one_process(
    alone: Path, recipe_file: Path, tmp_path: Path, hosts: dict[str, list[str]]
) -> None:
    runs = on_both(hosts, recipe_file, "--set", *EXACT, f"output={tmp_path}")
    outputs = [run.communicate(timeout=240)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    assert json.loads((tmp_path / "environment.json").read_text())["hosts"] == 2
    assert_same_run(tmp_path, alone)


@pytest.mark.slow
def test_lost_host_stops_the_others_with_a_message(
    recipe_file: Path, tmp_path: Path, hosts: dict[str, list[str]]
) -> None:
    stays, lost = on_both(
        hosts, recipe_file, "--set", "optimization.steps=4000", "val_interval=2", f"output={tmp_path}"
    )
    while not (tmp_path / "last.ckpt").is_file():
        assert stays.poll() is None, stays.communicate()[1]
        time.sleep(0.1)
    _, vanishes = hosts
    of_the_host = subprocess.run(["ip", "netns", "pids", vanishes], capture_output=True, text=True).stdout
    for process in of_the_host.split():
        os.kill(int(process), signal.SIGKILL)
    lost.communicate()
    _, output = stays.communicate(timeout=120)
    assert stays.returncode == 1
    assert "rsn: another process has stopped; its own message has the reason\n" in output


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("srun") is None, reason="needs a SLURM cluster")
@pytest.mark.parametrize("tasks", [("--ntasks-per-node=2",), ("--ntasks=2", "--job-name=interactive")])
def test_srun_trains_the_weights_of_one_process(
    alone: Path, recipe_file: Path, tmp_path: Path, tasks: tuple[str, ...]
) -> None:
    if subprocess.run(["sinfo"], capture_output=True).returncode:
        pytest.skip("no SLURM cluster answers")
    command = [sys.executable, *RUN, recipe_file, "--set", *EXACT, f"output={tmp_path}"]
    done = subprocess.run(["srun", "--nodes=1", *tasks, *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_same_run(tmp_path, alone)


@pytest.mark.slow
def test_slurm_processes_train_the_weights_of_one(alone: Path, recipe_file: Path, tmp_path: Path) -> None:
    """With the variables of srun in an interactive job, without --ntasks-per-node."""
    slurm = {
        "SLURM_STEP_ID": "0", "SLURM_JOB_ID": "17", "SLURM_JOB_NAME": "interactive", "SLURM_NTASKS": "2",
        "SLURM_NNODES": "1", "SLURM_NODEID": "0", "SLURM_NODELIST": "localhost",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(),
    }  # fmt: skip
    command = [sys.executable, *RUN, recipe_file, "--set", *EXACT, f"output={tmp_path}"]
    processes = [
        subprocess.Popen(command, env=os.environ | slurm | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank})
        for rank in "01"
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    assert_same_run(tmp_path, alone)


def test_accumulated_gradients_make_one_step(recipe_file: Path, tmp_path: Path) -> None:
    train(read_recipe(recipe_file, (f"output={tmp_path}", "compute.accumulate_grad_batches=2")))
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 4


def test_shards_of_a_batch_make_up_the_batch() -> None:
    draw = partial(ShuffledBatches, [1.0] * 10, [Interval(8, (64, 64))], 3, seed=5)
    whole = list(draw())
    shares = [list(draw(shard=Shard(rank, 2, 2))) for rank in (0, 1)]
    assert [len(pieces) for pieces in shares] == [6, 6]
    for step, batch in enumerate(whole):
        parts = [shares[rank][2 * step + part] for part in (0, 1) for rank in (0, 1)]
        assert [sample for part in parts for sample in part] == batch


def test_train_rejects_a_batch_that_cannot_be_divided(recipe_file: Path) -> None:
    with pytest.raises(RecipeError, match=r"expected a multiple of 1 processes x 3 parts .*, got 4"):
        train(read_recipe(recipe_file, ("compute.accumulate_grad_batches=3",)))


def test_train_warns_of_idle_slurm_tasks(recipe_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "4")
    with pytest.warns(RsnWarning, match="only 1 of the 4 tasks of the SLURM job are used; start with srun"):
        test_train_rejects_a_batch_that_cannot_be_divided(recipe_file)


def test_distributed_info_reads_the_variables_of_torchrun_and_slurm() -> None:
    assert DistributedInfo.from_environment({}) == DistributedInfo(0, 1, 1)
    torchrun = {"TORCHELASTIC_RUN_ID": "x", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}
    assert DistributedInfo.from_environment(torchrun) == DistributedInfo(rank=5, count=8, hosts=2)
    slurm = {"SLURM_STEP_ID": "0", "SLURM_PROCID": "3", "SLURM_NTASKS": "16", "SLURM_NNODES": "2"}
    assert DistributedInfo.from_environment(slurm).processes_per_host == 8
    assert DistributedInfo.from_environment(slurm).idle_tasks(slurm) == 0
    sbatch = {"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "16", "SLURM_NNODES": "2"}
    assert DistributedInfo.from_environment(sbatch).idle_tasks(sbatch) == 15
    with pytest.raises(RsnError, match="16 tasks on 3 nodes; give it --ntasks-per-node"):
        DistributedInfo.from_environment(slurm | {"SLURM_NNODES": "3"})
