"""What changes the speed of a run and not its result."""

import csv
from pathlib import Path

import pytest
import torch
from torch.utils.data import default_collate

from rsn.datasets.coco import read_coco
from rsn.datasets.loading import Draw
from rsn.datasets.resident import CropPlans, ResidentPictures
from rsn.heatmaps import encode
from rsn.networks.card import Card
from rsn.training.health import UnreadableImages
from rsn.training.module import PoseTraining
from rsn.training.recipe import read_recipe
from rsn.training.run import train
from small_network import small_network


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
        pytest.param(
            "compute.recompute=true", 1e-5, marks=pytest.mark.slow
        ),  # see networks/test_recomputing.py
        ("compute.workers=2", 1e-6),
        # Slow, since many processors emulate these numbers.
        pytest.param("compute.precision=bf16-mixed", 3e-2, marks=pytest.mark.slow),
    ],
)
def test_it_is_the_same_run(
    plain: list[float], recipe_file: Path, tmp_path: Path, setting: str, tolerance: float
) -> None:
    assert losses(recipe_file, tmp_path / "run", setting) == pytest.approx(plain, rel=tolerance)


@pytest.mark.slow
def test_a_compiled_step_from_pictures_to_gradients_is_the_plain_one(
    recipe_file: Path, people_json: Path
) -> None:
    people = read_coco(people_json, people_json.parent / "images")
    pictures = ResidentPictures([person.image.path for person in people.people], torch.device("cpu"))
    card = Card("mspn50", input_size=(64, 64))
    recipe = read_recipe(recipe_file)
    plans = CropPlans(people, card.input_size, recipe.augmentation, pictures.numbers)
    batch = default_collate([plans[Draw(0, person)] for person in range(4)])
    targets = encode(batch["keypoints"], batch["visibility"], card.input_size)
    found = []
    for way in ("eager", "compiled"):
        torch.manual_seed(0)
        network = small_network(17)
        recipe = read_recipe(recipe_file, (f"compute.step={way}",))
        step = PoseTraining(network, card, recipe, UnreadableImages(people, most=0.0), pictures)
        loss = step.loss_of(batch, targets)
        loss.backward()
        found.append((loss.item(), network.stem.reduce.conv.weight.grad))
    (plain, plain_gradient), (fused, fused_gradient) = found
    assert fused == pytest.approx(plain, rel=1e-4)
    torch.testing.assert_close(
        fused_gradient, plain_gradient, rtol=1e-2, atol=1e-3 * plain_gradient.abs().max().item()
    )
