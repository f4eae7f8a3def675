"""Interrupted runs, and the checkpoints that they resume from."""

import random
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from interrupted_runs import PARTS, start_run
from rsn.errors import RecipeError, RsnWarning
from rsn.training import checkpoints
from rsn.training.checkpoints import (
    LAST_CHECKPOINT,
    PREVIOUS_CHECKPOINT,
    RotatingCheckpointIO,
    last_complete_checkpoint,
)
from rsn.training.recipe import Recipe, read_recipe
from rsn.training.run import train
from rsn.weights.checkpoints import read_tensors

# Two validations, two steps each, so that there is time to kill the run after the first.
SETTINGS = ("optimization.steps=4", "optimization.ema_decay=0.9", "optimization.schedule=cosine")


def recipe_in(folder: Path, recipe_file: Path) -> Recipe:
    return read_recipe(recipe_file, (f"output={folder}", *SETTINGS))


@pytest.fixture(scope="module")
def unbroken(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    recipe = recipe_in(tmp_path_factory.mktemp("unbroken"), recipe_file)
    train(recipe)
    return recipe


def test_killed_run_resumes_to_identical_weights(unbroken: Recipe, recipe_file: Path, tmp_path: Path) -> None:
    process = start_run(recipe_file, tmp_path, *SETTINGS)
    time.sleep(random.random() / 2)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.stderr
    train(recipe_in(tmp_path, recipe_file), resume=True)
    ends = [torch.load(folder / LAST_CHECKPOINT, weights_only=True) for folder in (unbroken.output, tmp_path)]
    assert ends[0]["global_step"] == 4
    for part in PARTS:
        torch.testing.assert_close(ends[1][part], ends[0][part], atol=0, rtol=0, msg=part)


@pytest.mark.parametrize("sent", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_stopped_run_has_exit_status_1(recipe_file: Path, tmp_path: Path, sent: signal.Signals) -> None:
    process = start_run(recipe_file, tmp_path, "optimization.steps=200")
    process.send_signal(sent)
    _, output = process.communicate()
    assert process.returncode == 1
    assert re.fullmatch(
        r"rsn: stopped at step \d+ of 200; continue from the last validation with --resume",
        output.splitlines()[-1],
    )
    assert last_complete_checkpoint(tmp_path).name == LAST_CHECKPOINT


def test_averaged_weights_differ_from_the_trained_ones(unbroken: Recipe) -> None:
    state = torch.load(unbroken.output / LAST_CHECKPOINT, weights_only=True)
    averaged = read_tensors(unbroken.output / "last.safetensors")["stem.reduce.conv.weight"]
    key = "network.stem.reduce.conv.weight"
    torch.testing.assert_close(averaged, state["state_dict"][key])
    assert (averaged - state["current_model_state"][key]).abs().max() > 1e-6


def test_train_continues_when_a_checkpoint_cannot_be_written(recipe_file: Path, tmp_path: Path, full: Path) -> None:
    (tmp_path / f".{LAST_CHECKPOINT}.part").symlink_to(full)  # for the first checkpoint, which removes it
    recipe = read_recipe(recipe_file, (f"output={tmp_path}",))
    with pytest.warns(RsnWarning, match=r"cannot write .*last.ckpt .*training continues"):
        train(recipe)
    assert torch.load(tmp_path / LAST_CHECKPOINT, weights_only=True)["global_step"] == 4
    assert not (tmp_path / PREVIOUS_CHECKPOINT).exists()


@pytest.fixture
def full() -> Path:
    """A device without space left."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    return Path("/dev/full")


@pytest.fixture
def two_checkpoints(tmp_path: Path) -> Path:
    writer = RotatingCheckpointIO()
    for number in (1, 2):
        writer.save_checkpoint({"number": torch.full((1000,), number)}, tmp_path / LAST_CHECKPOINT)
    return tmp_path


def test_previous_checkpoint_is_kept(two_checkpoints: Path) -> None:
    assert last_complete_checkpoint(two_checkpoints).name == LAST_CHECKPOINT
    numbers = [int(torch.load(two_checkpoints / name)["number"][0]) for name in (PREVIOUS_CHECKPOINT, LAST_CHECKPOINT)]
    assert numbers == [1, 2]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_damaged_checkpoint_is_skipped_with_a_warning(two_checkpoints: Path, damage: str) -> None:
    data = bytearray((two_checkpoints / LAST_CHECKPOINT).read_bytes())
    half = len(data) // 2
    data[half] ^= 0xFF
    (two_checkpoints / LAST_CHECKPOINT).write_bytes({"cut": data[:half], "flipped": data, "empty": b""}[damage])
    with pytest.warns(RsnWarning, match=r"last.ckpt is damaged"):
        assert last_complete_checkpoint(two_checkpoints).name == PREVIOUS_CHECKPOINT
    (two_checkpoints / PREVIOUS_CHECKPOINT).write_bytes(b"gone too")
    with pytest.warns(RsnWarning), pytest.raises(RecipeError, match=r"every checkpoint in .* is damaged"):
        last_complete_checkpoint(two_checkpoints)


@contextmanager
def before_every_line(call: Callable[[], object]) -> Iterator[None]:
    """Run `call` before each line of checkpoints.py that runs in the block, where a run may be killed."""

    def trace(frame: Any, event: str, argument: object) -> Any:
        if frame.f_code.co_filename != checkpoints.__file__:
            return None
        call()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


@pytest.mark.filterwarnings("ignore::rsn.errors.RsnWarning")  # that a state is damaged
@pytest.mark.parametrize("damaged", [None, LAST_CHECKPOINT, PREVIOUS_CHECKPOINT])
def test_complete_checkpoint_exists_at_every_moment(two_checkpoints: Path, damaged: str | None) -> None:
    if damaged:
        (two_checkpoints / damaged).write_bytes(b"damaged")
    seen: list[int] = []

    def resume() -> None:
        seen.append(int(torch.load(last_complete_checkpoint(two_checkpoints))["number"][0]))

    with before_every_line(resume):
        for number in (3, 4):
            RotatingCheckpointIO().save_checkpoint(
                {"number": torch.full((1000,), number)}, two_checkpoints / LAST_CHECKPOINT
            )
    assert seen == sorted(seen)  # never back to an older one
    assert set(seen) == {1 if damaged == LAST_CHECKPOINT else 2, 3, 4}


@pytest.mark.filterwarnings("ignore::rsn.errors.RsnWarning")
def test_checkpoint_with_a_flipped_bit_is_not_resumed(two_checkpoints: Path) -> None:
    sound = (two_checkpoints / LAST_CHECKPOINT).read_bytes()
    for place in [*range(0, len(sound), 97), *range(len(sound) - 900, len(sound), 7)]:
        damaged = bytearray(sound)
        damaged[place] ^= 0x80
        (two_checkpoints / LAST_CHECKPOINT).write_bytes(damaged)
        state = last_complete_checkpoint(two_checkpoints)
        assert state.name == PREVIOUS_CHECKPOINT or torch.load(state)["number"].eq(2).all(), place


def test_full_disk_keeps_the_checkpoints(two_checkpoints: Path, full: Path) -> None:
    before = {path.name: path.read_bytes() for path in two_checkpoints.iterdir()}
    (two_checkpoints / f".{LAST_CHECKPOINT}.part").symlink_to(full)
    with pytest.warns(RsnWarning, match=r"cannot write .*training continues"):
        RotatingCheckpointIO().save_checkpoint({"number": torch.zeros(10_000_000)}, two_checkpoints / LAST_CHECKPOINT)
    assert {path.name: path.read_bytes() for path in two_checkpoints.iterdir()} == before
