"""Runs that stop early, and unreadable images."""

import shutil
from pathlib import Path

import pytest
import torch

from rsn.errors import AnnotationError, RsnWarning, TrainingError
from rsn.training.recipe import read_recipe
from rsn.training.run import train


@pytest.fixture
def damaged(people_json: Path, tmp_path: Path) -> str:
    """Drawn people in four images, one of which is truncated."""
    shutil.copytree(people_json.parent / "images", tmp_path / "images")
    first = sorted((tmp_path / "images").iterdir())[0]
    first.write_bytes(first.read_bytes()[:100])
    return f"train=[{{annotations: {people_json}, images: {tmp_path / 'images'}}}]"


def test_train_skips_an_unreadable_image_with_a_warning(damaged: str, recipe_file: Path, tmp_path: Path) -> None:
    recipe = read_recipe(recipe_file, (damaged, f"output={tmp_path / 'run'}", "max_unreadable_fraction=0.25"))
    with pytest.warns(RsnWarning, match=r"1 of 4 images cannot be read: .*000000000001.png"):
        train(recipe)
    assert (tmp_path / "run" / "last.safetensors").exists()


def test_train_rejects_too_many_unreadable_images(damaged: str, recipe_file: Path, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"1 images that cannot be read .*: image 1 \(000000000001\.png\)"):
        train(read_recipe(recipe_file, (damaged, f"output={tmp_path / 'run'}")))
    assert not (tmp_path / "run").exists()


def test_train_stops_at_too_many_unreadable_images(
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


def test_infinite_loss_stops_the_run_before_anything_is_written(recipe_file: Path, tmp_path: Path) -> None:
    settings = (f"output={tmp_path}", "optimization.learning_rate=1e30", "optimization.warmup_steps=0")
    with pytest.raises(TrainingError, match="the loss is not finite"):
        train(read_recipe(recipe_file, settings))
    assert not (tmp_path / "last.ckpt").exists()
    assert not list(tmp_path.glob("*.safetensors"))


def test_infinite_loss_does_not_overwrite_the_checkpoint(recipe_file: Path, tmp_path: Path) -> None:
    train(read_recipe(recipe_file, (f"output={tmp_path}", "optimization.steps=2")))
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    state["state_dict"]["network.stem.reduce.conv.weight"].fill_(float("nan"))
    torch.save(state, tmp_path / "last.ckpt")
    before = (tmp_path / "last.ckpt").read_bytes()
    (tmp_path / "recipe.yaml").unlink()  # it has another schedule, which would be rejected
    with pytest.raises(TrainingError):
        train(read_recipe(recipe_file, (f"output={tmp_path}",)), resume=True)
    assert (tmp_path / "last.ckpt").read_bytes() == before
