"""Messages of training runs that fail; following their advice works."""

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from command import rsn
from rsn.data.checks import find_duplicate_images
from rsn.distributed import DistributedInfo
from rsn.errors import RecipeError, RsnWarning, TrainingError
from rsn.training import run as training_run
from rsn.training.folder import device_name, open_folder
from rsn.training.health import check_network
from rsn.training.optimization import build_optimizer, build_schedule, use_learning_rate
from rsn.training.recipe import OptimizationConfig, read_recipe
from rsn.training.run import train
from rsn.weights.transfer import create_model
from small_network import small_network

HUGE = ("optimization.learning_rate=1e30", "optimization.warmup_steps=0")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train the smallest network, which takes a tenth of the time."""
    monkeypatch.setattr(training_run, "build_model", lambda name, count, **options: small_network(count))


@pytest.mark.usefixtures("small")
def test_infinite_loss_before_the_first_validation_advises_to_start_again(recipe_file: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as stopped, pytest.warns(RsnWarning):
        train(read_recipe(recipe_file, (*HUGE, f"output={tmp_path}")))
    message = str(stopped.value)
    assert "there is no checkpoint yet: start again with --set optimization.learning_rate=1e+29" in message
    assert ".ckpt" not in message


@pytest.mark.usefixtures("small")
def test_infinite_loss_after_a_validation_gives_options_that_resume_the_run(recipe_file: Path, tmp_path: Path) -> None:
    settings = (f"output={tmp_path}", "optimization.warmup_steps=0", "compute.precision=bf16-mixed")
    with pytest.warns(RsnWarning, match="trained on too"):
        train(read_recipe(recipe_file, settings))
    (tmp_path / "last.ckpt").unlink()  # the first validation wrote previous.ckpt
    with (
        pytest.raises(TrainingError) as stopped,
        pytest.warns(RsnWarning, match="was 0.001 and is 1e.30 from here on"),
    ):
        train(read_recipe(recipe_file, (*settings, "optimization.learning_rate=1e30")), resume=True)
    advice = re.search(r"(\S+) is from before that: continue with (--resume .*)", str(stopped.value))
    assert advice is not None
    assert Path(advice[1]).is_file()
    resume, *options = shlex.split(advice[2])
    assert resume == "--resume"
    changes = [option for option in options if option != "--set"]
    assert changes == ["optimization.learning_rate=1e+29", "compute.precision=32-true"]
    changes[0] = "optimization.learning_rate=1e-3"  # a tenth of 1e30 is still too much
    with pytest.warns(RsnWarning):
        best = train(read_recipe(recipe_file, (*settings, *changes)), resume=True)
    assert best.is_file()
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 4


def test_resume_rejects_changed_settings(recipe_file: Path, tmp_path: Path) -> None:
    recipe = read_recipe(recipe_file, (f"output={tmp_path}",))
    open_folder(recipe, DistributedInfo(), resume=False)
    torch.save({}, tmp_path / "last.ckpt")
    for change in ("optimization.steps=8", "seed=3", "optimization.weight_decay=0.5"):
        changed = read_recipe(recipe_file, (f"output={tmp_path}", change, "optimization.learning_rate=0.1"))
        with pytest.raises(RecipeError, match=rf"cannot be resumed: .*{change.partition('=')[0]} was"):
            open_folder(changed, DistributedInfo(), resume=True)


def test_resume_uses_the_new_learning_rate() -> None:
    def made(settings: OptimizationConfig) -> Any:
        optimizer = build_optimizer(nn.Linear(2, 2), settings)
        return optimizer, build_schedule(optimizer, settings)

    before = OptimizationConfig(steps=10, learning_rate=0.5, warmup_steps=0)
    after = replace(before, learning_rate=0.05)
    (optimizer, schedule), (resumed, its_schedule) = made(before), made(after)
    for _ in range(4):
        optimizer.step()
        schedule.step()
    state = {"optimizer_states": [optimizer.state_dict()], "lr_schedulers": [schedule.state_dict()]}
    use_learning_rate(state, resumed)
    resumed.load_state_dict(state["optimizer_states"][0])
    its_schedule.load_state_dict(state["lr_schedulers"][0])
    assert resumed.param_groups[0]["lr"] == pytest.approx(optimizer.param_groups[0]["lr"] / 10)
    resumed.step()
    its_schedule.step()
    optimizer.step()
    schedule.step()
    assert resumed.param_groups[0]["lr"] == pytest.approx(optimizer.param_groups[0]["lr"] / 10)


def test_recipe_expands_the_home_folder_in_every_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "r.yaml").write_text(
        "train: [{annotations: ~/a.json, images: ~/images, skeleton: ~/s.yaml}]\n"
        "validation: {annotations: ~/b.json, images: ~/images, head_sizes: ~/h.mat}\n"
        "output: ~/run\npretrained: ~/w.pth\n"
    )
    recipe = read_recipe(tmp_path / "r.yaml")
    source = recipe.train[0]
    paths = (source.annotations, source.images, source.skeleton, recipe.output, Path(recipe.pretrained or ""))
    assert [path.name for path in paths if path] == ["a.json", "images", "s.yaml", "run", "w.pth"]
    assert all(path.parent == tmp_path for path in (*paths, recipe.validation.head_sizes) if path)
    assert read_recipe(tmp_path / "r.yaml", ("output=~/other",)).output == tmp_path / "other"
    with pytest.raises(RecipeError, match=r"~nobody_of_that_name/run: the home folder .* write the path in full"):
        read_recipe(tmp_path / "r.yaml", ("output=~nobody_of_that_name/run",))


@pytest.mark.parametrize(
    ("refine", "crops", "size", "works"),
    [
        ("none", 1, (32, 32), False),
        ("none", 2, (32, 32), True),
        ("none", 1, (64, 32), True),
        ("last", 1, (256, 192), False),  # a Pose Refine Machine uses the mean of a crop
        ("last", 2, (64, 64), True),
    ],
)
def test_check_network_rejects_one_value_per_batch_norm_channel(
    refine: Any, crops: int, size: tuple[int, int], works: bool
) -> None:
    network = create_model("rsn18", num_keypoints=3, refine=refine)
    if works:
        check_network(network, crops, size)
        return
    with pytest.raises(RecipeError, match=rf"one value per channel from {crops} crop of {size[0]}x{size[1]}"):
        check_network(network, crops, size)


def test_train_rejects_too_small_batches_before_writing_anything(recipe_file: Path, tmp_path: Path) -> None:
    settings = ("input_size=[32,32]", "compute.accumulate_grad_batches=4", f"output={tmp_path / 'run'}")
    done = rsn("train", recipe_file, "--set", *settings)
    assert done.returncode == 1
    assert "raise optimization.batch_size, lower compute.accumulate_grad_batches" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("small")
def test_train_prints_the_device_and_warns_of_shared_images(recipe_file: Path, tmp_path: Path) -> None:
    done = rsn("train", recipe_file, "--set", f"output={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    assert f"device     {device_name(torch.device('cpu'))}" in done.stderr.splitlines()
    assert "4 of the 4 validation images are trained on too" in done.stderr
    assert "000000000001.png" in done.stderr


def test_find_duplicate_images_compares_contents(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (90, 90, 3)).astype(np.uint8)
    other = pixels.copy()
    other[-1] = 0  # the files start with the same bytes and have the same size
    for name, image in (("a.bmp", pixels), ("b.bmp", other), ("copy.bmp", pixels), ("c.bmp", pixels[:50])):
        cv2.imwrite(str(tmp_path / name), image)
    a, b, copy, c, absent = (tmp_path / name for name in ("a.bmp", "b.bmp", "copy.bmp", "c.bmp", "absent.bmp"))
    assert find_duplicate_images([a, b, c, absent], [copy, absent]) == [a]
    assert find_duplicate_images([a, b], [a]) == [a]
    assert find_duplicate_images([a, b], []) == []
