"""A whole training run on drawn figures, small enough for a test: logs, weights, resuming."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from rsn import PoseEstimator
from rsn.errors import RecipeError
from rsn.networks.catalog import create_model
from rsn.networks.checkpoints import read_tensors
from rsn.networks.weights import load_model
from rsn.training.module import learning_rate_factor, set_head_gain
from rsn.training.recipe import Optimisation, Recipe, read_recipe
from rsn.training.run import train


@pytest.fixture(scope="module")
def recipe_file(people_json: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = {"annotations": str(people_json), "images": str(people_json.parent / "images")}
    folder = tmp_path_factory.mktemp("recipe")
    document = {
        "output": str(folder / "run"),
        "train": [source],
        "validation": source,
        "input_size": [64, 64],
        "head_gain": 10,
        "optimisation": {"steps": 4, "batch_size": 4, "warmup_steps": 2, "learning_rate": 1e-3},
        "validate_every": 2,
        "workers": 0,
    }
    (folder / "tiny.yaml").write_text(yaml.safe_dump(document))
    return folder / "tiny.yaml"


@pytest.fixture(scope="module")
def finished(recipe_file: Path) -> Recipe:
    recipe = read_recipe(recipe_file)
    train(recipe)
    return recipe


def test_a_run_leaves_what_it_says(finished: Recipe) -> None:
    names = {path.name for path in finished.output.iterdir()}
    assert {"recipe.yaml", "best.safetensors", "last.safetensors", "last.ckpt"} <= names
    logs = {path.name.split(".")[0] for path in (finished.output / "logs" / "version_0").iterdir()}
    assert {"metrics", "events"} <= logs
    assert not any(name.endswith(".part") for name in names)
    assert read_recipe(finished.output / "recipe.yaml") == finished


def test_the_log_has_loss_ap_and_the_wait_for_data(finished: Recipe) -> None:
    with open(finished.output / "logs/version_0/metrics.csv") as file:
        rows = list(csv.DictReader(file))
    logged = {name for row in rows for name, value in row.items() if value}
    assert {"train/loss", "validation/ap", "train/waiting_for_data", "step"} <= logged


def test_the_weights_can_be_used(finished: Recipe) -> None:
    estimator = PoseEstimator(finished.output / "last.safetensors")
    assert estimator.card.steps == 4
    assert estimator.card.input_size == (64, 64)
    assert "validation_ap" in estimator.card.figures


def test_a_resumed_run_ends_where_an_unbroken_one_does(finished: Recipe, recipe_file: Path) -> None:
    folder = finished.output.parent / "broken"
    # The schedule counts to 4 steps either way, so the first half is cut off from outside.
    code = (
        "import sys; from pathlib import Path; from lightning import Callback;"
        "from rsn.training import run; from rsn.training.recipe import read_recipe;"
        "stop = type('Stop', (Callback,), {'on_train_batch_start':"
        " lambda self, trainer, *_: trainer.global_step == 3 and __import__('os').kill(__import__('os').getpid(), 9)});"
        "build = run._trainer; run._trainer = lambda recipe, callbacks: build(recipe, [*callbacks, stop()]);"
        f"run.train(read_recipe(Path({str(recipe_file)!r}), ('output={folder}',)))"
    )
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    train(read_recipe(recipe_file, (f"output={folder}",)), resume=True)
    expected = read_tensors(finished.output / "last.safetensors")
    for key, value in read_tensors(folder / "last.safetensors").items():
        torch.testing.assert_close(value, expected[key], atol=1e-6, rtol=1e-5)


def test_a_run_is_not_overwritten_and_nothing_cannot_be_resumed(finished: Recipe, recipe_file: Path) -> None:
    with pytest.raises(RecipeError, match="holds a run"):
        train(finished)
    with pytest.raises(RecipeError, match="nothing to resume"):
        train(read_recipe(recipe_file, (f"output={finished.output.parent / 'new'}",)), resume=True)


def test_weights_to_start_from_are_loaded(finished: Recipe, recipe_file: Path) -> None:
    folder = finished.output.parent / "second"
    start = finished.output / "last.safetensors"
    overrides = (f"output={folder}", f"start_from={start}", "optimisation.learning_rate=1e-12")
    train(read_recipe(recipe_file, overrides))
    before, after = load_model(start)[0], load_model(folder / "last.safetensors")[0]
    for old, new in zip(before.parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(old, new, atol=1e-7, rtol=0)


def test_nobody_to_train_on_is_an_error(recipe_file: Path, tmp_path: Path, people_json: Path) -> None:
    source = f"{{annotations: {people_json}, images: {people_json.parent / 'images'}, min_box_height: 500}}"
    with pytest.raises(RecipeError, match=r"nobody to train on is left.*8 box lower than 500 px"):
        train(read_recipe(recipe_file, (f"output={tmp_path / 'run'}", f"train=[{source}]")))


def test_the_learning_rate_is_the_references() -> None:
    schedule = Optimisation()
    assert schedule.learning_rate * learning_rate_factor(0, schedule) == pytest.approx(4.015e-4)
    assert learning_rate_factor(2_399, schedule) == 1.0
    assert learning_rate_factor(2_400 + 46_799, schedule) == pytest.approx(0.5)
    assert learning_rate_factor(95_999, schedule) == 0.0


def test_the_head_gain_is_set_everywhere_and_nowhere_else() -> None:
    model = create_model("2xrsn50")
    set_head_gain(model, 20.0)
    gains = {
        key for key, value in model.state_dict().items() if key.endswith("weight") and (value == 20).all()
    }
    assert gains == {
        f"stages.{stage}.heads.{level}.predict.norm.weight" for stage in (0, 1) for level in range(4)
    }
