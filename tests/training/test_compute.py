"""What changes the speed of a run and not its result."""

import csv
from pathlib import Path

import pytest

from rsn.training.recipe import read_recipe
from rsn.training.run import train


def losses(recipe_file: Path, folder: Path, *settings: str) -> list[float]:
    train(read_recipe(recipe_file, (f"output={folder}", *settings)))
    with open(folder / "logs/version_0/metrics.csv") as file:
        return [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]


@pytest.fixture(scope="module")
def plain(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    return losses(recipe_file, tmp_path_factory.mktemp("plain") / "run")


@pytest.mark.parametrize(
    ("setting", "tolerance"),
    [
        ("compute.images=device", 1e-2),
        ("compute.recompute=true", 1e-5),
        ("compute.workers=2", 1e-6),
        ("compute.precision=bf16-mixed", 3e-2),
    ],
)
def test_it_is_the_same_run(
    plain: list[float], recipe_file: Path, tmp_path: Path, setting: str, tolerance: float
) -> None:
    assert losses(recipe_file, tmp_path / "run", setting) == pytest.approx(plain, rel=tolerance)
