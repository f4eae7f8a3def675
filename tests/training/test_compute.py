"""Settings that change the speed of a run, not its result."""

import csv
from pathlib import Path

import pytest

from rsn.errors import RecipeError
from rsn.training.recipe import read_recipe
from rsn.training.run import train


def losses(recipe_file: Path, folder: Path, *settings: str) -> list[float]:
    train(read_recipe(recipe_file, (f"output={folder}", *settings)))
    with open(folder / "logs/version_0/metrics.csv", encoding="utf-8") as file:
        return [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]


@pytest.fixture(scope="module")
def plain(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    return losses(recipe_file, tmp_path_factory.mktemp("plain") / "run")


@pytest.mark.parametrize(
    ("setting", "tolerance"),
    [
        ("compute.cache_images=device", 2e-2),  # some positions are rounded to the next 1/32 pixel
        pytest.param(
            "compute.activation_checkpointing=true", 1e-5, marks=pytest.mark.slow
        ),  # see models/test_activation_checkpointing.py
        ("compute.workers=2", 1e-6),
        # Slow, since many processors emulate these numbers.
        pytest.param("compute.precision=bf16-mixed", 3e-2, marks=pytest.mark.slow),
    ],
)
def test_compute_settings_do_not_change_the_losses(
    plain: list[float], recipe_file: Path, tmp_path: Path, setting: str, tolerance: float
) -> None:
    assert losses(recipe_file, tmp_path / "run", setting) == pytest.approx(plain, rel=tolerance)


def test_train_rejects_sync_batchnorm_without_gpus(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(RecipeError, match="Invalid sync_batchnorm: expected false"):
        train(read_recipe(recipe_file, (f"output={tmp_path / 'run'}", "sync_batchnorm=true")))
    assert not (tmp_path / "run").exists()
