"""Runs that should not go on, and images that cannot be read."""

import shutil
from pathlib import Path

import pytest
import torch

from rsn.errors import AnnotationError, RsnWarning, TrainingError
from rsn.training.recipe import read_recipe
from rsn.training.run import train


@pytest.fixture
def damaged(people_json: Path, tmp_path: Path) -> str:
    """The drawn people, one of whose four images is cut off."""
    shutil.copytree(people_json.parent / "images", tmp_path / "images")
    first = sorted((tmp_path / "images").iterdir())[0]
    first.write_bytes(first.read_bytes()[:100])
    return f"train=[{{annotations: {people_json}, images: {tmp_path / 'images'}}}]"


def test_a_image_that_cannot_be_read_is_left_out_and_told(
    damaged: str, recipe_file: Path, tmp_path: Path
) -> None:
    recipe = read_recipe(recipe_file, (damaged, f"output={tmp_path / 'run'}", "max_unreadable_fraction=0.25"))
    with pytest.warns(RsnWarning, match=r"1 of 4 images cannot be read: .*000000000001.png"):
        train(recipe)
    assert (tmp_path / "run" / "last.safetensors").exists()


def test_too_many_of_them_keep_a_run_from_starting(damaged: str, recipe_file: Path, tmp_path: Path) -> None:
    with pytest.raises(
        AnnotationError, match=r"1 images that cannot be read .*: image 1 \(000000000001\.png\)"
    ):
        train(read_recipe(recipe_file, (damaged, f"output={tmp_path / 'run'}")))
    assert not (tmp_path / "run").exists()


def test_too_many_that_were_not_opened_before_stop_the_run(
    damaged: str, recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = tmp_path / "images/000000000002.png"
    shutil.copy(tmp_path / "images/000000000001.png", sound.with_name("000000000003.png"))
    shutil.copy(sound, tmp_path / "images/000000000001.png")
    monkeypatch.setattr("rsn.training.run.IMAGES_CHECKED", 1)  # the first
    with pytest.raises(
        TrainingError, match=r"1 of 4 images cannot be read.*max_unreadable_fraction allows a share of 0.01"
    ):
        train(read_recipe(recipe_file, (damaged, f"output={tmp_path / 'run'}")))


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_the_last_good_state(
    recipe_file: Path, tmp_path: Path
) -> None:
    settings = (f"output={tmp_path}", "optimization.learning_rate=1e30", "optimization.warmup_steps=0")
    with pytest.raises(TrainingError, match="the loss is not finite"):
        train(read_recipe(recipe_file, settings))
    assert not (tmp_path / "last.ckpt").exists()
    assert not list(tmp_path.glob("*.safetensors"))


def test_the_last_good_state_stays(recipe_file: Path, tmp_path: Path) -> None:
    train(read_recipe(recipe_file, (f"output={tmp_path}", "optimization.steps=2")))
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    state["state_dict"]["network.stem.reduce.conv.weight"].fill_(float("nan"))
    torch.save(state, tmp_path / "last.ckpt")
    before = (tmp_path / "last.ckpt").read_bytes()
    (tmp_path / "recipe.yaml").unlink()  # it would say that the schedule was another one
    with pytest.raises(TrainingError):
        train(read_recipe(recipe_file, (f"output={tmp_path}",)), resume=True)
    assert (tmp_path / "last.ckpt").read_bytes() == before
