"""Runs that end before their time, and what is resumed from."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from rsn.errors import RecipeError, RsnWarning
from rsn.networks.checkpoints import read_tensors
from rsn.training.recipe import Recipe, read_recipe
from rsn.training.run import train
from rsn.training.states import STATE, STATE_BEFORE, TwoStates, usable_state

# The schedule is stretched, so that there is time to kill the run after its first round.
SETTINGS = ("optimisation.steps=8", "optimisation.average=0.9", "optimisation.schedule=cosine")


def recipe_in(folder: Path, recipe_file: Path) -> Recipe:
    return read_recipe(recipe_file, (f"output={folder}", *SETTINGS))


@pytest.fixture(scope="module")
def unbroken(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    recipe = recipe_in(tmp_path_factory.mktemp("unbroken"), recipe_file)
    train(recipe)
    return recipe


def test_a_killed_run_resumes_to_the_same_weights(
    unbroken: Recipe, recipe_file: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "rsn", "train", recipe_file, "--set", *SETTINGS, f"output={tmp_path}"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    while not (tmp_path / STATE).exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(random.random())
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.stderr
    train(recipe_in(tmp_path, recipe_file), resume=True)
    expected = read_tensors(unbroken.output / "last.safetensors")
    for key, value in read_tensors(tmp_path / "last.safetensors").items():
        torch.testing.assert_close(value, expected[key], atol=1e-6, rtol=1e-5)
    ends = [torch.load(folder / STATE, weights_only=True) for folder in (unbroken.output, tmp_path)]
    assert ends[0]["lr_schedulers"][0]["_last_lr"] == ends[1]["lr_schedulers"][0]["_last_lr"]
    assert ends[0]["global_step"] == ends[1]["global_step"] == 8


def test_the_average_differs_from_the_last_weights(unbroken: Recipe) -> None:
    state = torch.load(unbroken.output / STATE, weights_only=True)
    key = "stem.reduce.conv.weight"
    averaged = read_tensors(unbroken.output / "last.safetensors")[key]
    torch.testing.assert_close(averaged, state["callbacks"]["AveragedWeights"]["network"][key])
    assert (averaged - state["state_dict"][f"network.{key}"]).abs().max() > 1e-6


@pytest.fixture
def two_states(tmp_path: Path) -> Path:
    writer = TwoStates()
    for number in (1, 2):
        writer.save_checkpoint({"number": torch.full((1000,), number)}, tmp_path / STATE)
    return tmp_path


def test_the_state_before_is_kept(two_states: Path) -> None:
    assert usable_state(two_states).name == STATE
    numbers = [int(torch.load(two_states / name)["number"][0]) for name in (STATE_BEFORE, STATE)]
    assert numbers == [1, 2]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_state_is_passed_over_and_said(two_states: Path, damage: str) -> None:
    data = bytearray((two_states / STATE).read_bytes())
    middle = len(data) // 2
    data[middle] ^= 0xFF
    (two_states / STATE).write_bytes({"cut": data[:middle], "flipped": data, "empty": b""}[damage])
    with pytest.warns(RsnWarning, match=r"last.ckpt: is damaged"):
        assert usable_state(two_states).name == STATE_BEFORE
    (two_states / STATE_BEFORE).write_bytes(b"gone too")
    with pytest.warns(RsnWarning), pytest.raises(RecipeError, match="every state in it is damaged"):
        usable_state(two_states)


def test_a_full_disk_leaves_the_states_there_are(two_states: Path) -> None:
    before = {path.name: path.read_bytes() for path in two_states.iterdir()}
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full, a device that has no space left")
    (two_states / f".{STATE}.part").symlink_to(full)
    with pytest.warns(RsnWarning, match=r"could not be written.*the run goes on"):
        TwoStates().save_checkpoint({"number": torch.zeros(10_000_000)}, two_states / STATE)
    assert {path.name: path.read_bytes() for path in two_states.iterdir()} == before
