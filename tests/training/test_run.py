"""Whole training runs on drawn people: logs, weights, resuming."""

import csv
import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import Dataset

from command import rsn
from rsn import PoseEstimator
from rsn.codecs import UnbiasedCodec
from rsn.data.coco import read_coco
from rsn.data.loading import CropDataset
from rsn.errors import RecipeError, RsnError
from rsn.io.images import read_image
from rsn.models import registry
from rsn.models.registry import register_model
from rsn.training.module import set_head_gain
from rsn.training.recipe import DatasetConfig, Recipe, read_recipe
from rsn.training.report import Run, read_series
from rsn.training.run import train
from rsn.weights.checkpoints import read_tensors
from rsn.weights.loading import load_model
from rsn.weights.transfer import create_model
from small_network import small_network


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train the smallest network, which takes a tenth of the time."""
    monkeypatch.setattr("rsn.training.run.build_model", lambda name, count, **options: small_network(count))


@pytest.fixture(scope="module")
def finished(recipe_file: Path) -> Recipe:
    recipe = read_recipe(recipe_file)
    train(recipe)
    return recipe


def test_train_writes_the_documented_files(finished: Recipe) -> None:
    names = {path.name for path in finished.output.iterdir()}
    assert {"recipe.yaml", "best.safetensors", "last.safetensors", "last.ckpt"} <= names
    logs = {path.name.split(".")[0] for path in (finished.output / "logs" / "version_0").iterdir()}
    assert {"metrics", "events"} <= logs
    assert not any(name.endswith(".part") for name in names)
    assert read_recipe(finished.output / "recipe.yaml") == finished


def test_log_has_loss_ap_and_waiting_time(finished: Recipe) -> None:
    with open(finished.output / "logs/version_0/metrics.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    logged = {name for row in rows for name, value in row.items() if value}
    assert {"train/loss", "validation/ap", "train/waiting_for_data", "step"} <= logged


def test_trained_weights_open_in_the_estimator(finished: Recipe) -> None:
    estimator = PoseEstimator(finished.output / "last.safetensors")
    assert estimator.metadata.steps == 4
    assert estimator.metadata.input_size == (64, 64)
    assert "validation_ap" in estimator.metadata.metrics


def test_best_weights_are_the_latest_with_the_highest_ap(finished: Recipe) -> None:
    values = [ap for _, ap in read_series(finished.output / "logs")["validation/ap"]]
    last_of_the_best = max(number for number, ap in enumerate(values, start=1) if ap == max(values))
    assert load_model(finished.output / "best.safetensors").metadata.steps == 2 * last_of_the_best


class CountSteps(Callback):
    steps = 0

    def on_train_batch_end(self, *_: Any) -> None:
        self.steps += 1


def test_train_accepts_a_network_people_a_loss_callbacks_and_a_logger(
    recipe_file: Path, people_json: Path, tmp_path: Path
) -> None:
    seen = []

    def loss(predictions: Any, targets: torch.Tensor, visibility: torch.Tensor) -> torch.Tensor:
        seen.append((len(predictions), targets.shape[0], visibility.shape))
        return (predictions[-1][-1] - targets[:, -1]).square().mean()

    count, logger = CountSteps(), CSVLogger(tmp_path, name="mine")
    filters = list(warnings.filters)
    best = train(
        read_recipe(recipe_file, (f"output={tmp_path / 'run'}", "train=[]")),
        network=small_network(17),
        dataset=read_coco(people_json, people_json.parent / "images").filter_valid(),
        loss=loss,
        callbacks=[count],
        logger=logger,
    )
    assert count.steps == 4
    assert seen == [(1, 4, (4, 17))] * 4
    assert best.is_file()
    assert "train/loss" in Path(logger.log_dir, "metrics.csv").read_text(encoding="utf-8")
    assert not (tmp_path / "run/logs").exists()
    assert list(warnings.filters) == filters


@pytest.mark.usefixtures("small")
def test_every_interval_has_crops_of_its_own(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, crop = [], CropDataset.__getitem__
    monkeypatch.setattr(CropDataset, "__getitem__", lambda self, sample: drawn.append(sample) or crop(self, sample))
    train(read_recipe(recipe_file, (f"output={tmp_path}",)))
    before = list(drawn)
    assert [sample.epoch for sample in before] == [0] * 8 + [1] * 8  # eight people, two batches of four per interval
    assert {sample.index for sample in before[:8]} == {sample.index for sample in before[8:]} == set(range(8))


class PlainNetwork(nn.Module):
    """A network without levels: heatmaps of a quarter of the size, from its forward pass."""

    def __init__(self, num_keypoints: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 7, stride=4, padding=3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, num_keypoints, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heatmaps: torch.Tensor = self.layers(x)
        return heatmaps


class DrawnCrops(Dataset[dict[str, torch.Tensor]]):
    """Crops of noise with random keypoints, as a user's own dataset gives them."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        random = torch.Generator().manual_seed(index)
        return {
            "image": torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8, generator=random),
            "keypoints": 64 * torch.rand(17, 2, generator=random),
            "visibility": torch.full((17,), 2),
        }


def test_train_accepts_any_module_and_any_dataset_and_resumes(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "ADDED", {})  # other tests list the models
    register_model("plain", PlainNetwork)

    def run(folder: Path, *, resume: bool = False) -> Path:
        torch.manual_seed(0)
        settings = (f"output={folder}", "model=plain", "train=[]", "codec=unbiased", "loss.ohkm_topk=4")
        recipe = read_recipe(recipe_file, settings)
        return train(recipe, network=PlainNetwork(17), dataset=DrawnCrops(), resume=resume)

    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    best = run(whole)
    assert isinstance(load_model(best).network, PlainNetwork)
    assert PoseEstimator(best).metadata.codec == UnbiasedCodec()
    run(resumed)
    (resumed / "last.ckpt").unlink()  # the first validation wrote previous.ckpt
    run(resumed, resume=True)
    expected = read_tensors(whole / "last.safetensors")
    for name, value in read_tensors(resumed / "last.safetensors").items():
        torch.testing.assert_close(value, expected[name], atol=0, rtol=0, msg=name)


def test_train_rejects_cached_images_with_an_own_dataset(recipe_file: Path, tmp_path: Path) -> None:
    recipe = read_recipe(recipe_file, (f"output={tmp_path / 'run'}", "compute.cache_images=device"))
    with pytest.raises(RecipeError, match=r"Invalid compute.cache_images: expected none"):
        train(recipe, network=PlainNetwork(17), dataset=DrawnCrops())


def test_train_rejects_a_recipe_without_sets(recipe_file: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="Invalid train: expected at least one set"):
        train(read_recipe(recipe_file, (f"output={tmp_path / 'run'}", "train=[]")))


def test_train_rejects_a_network_with_another_number_of_keypoints(recipe_file: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="expected an output of 17 maps, got shape"):
        train(read_recipe(recipe_file, (f"output={tmp_path / 'run'}",)), network=small_network(3))


def test_train_does_not_overwrite_a_run_and_rejects_resuming_nothing(finished: Recipe, recipe_file: Path) -> None:
    with pytest.raises(RecipeError, match="holds a run"):
        train(finished)
    with pytest.raises(RecipeError, match="nothing to resume"):
        train(read_recipe(recipe_file, (f"output={finished.output.parent / 'new'}",)), resume=True)


def test_train_does_not_overwrite_weights_without_checkpoints(recipe_file: Path, tmp_path: Path) -> None:
    (tmp_path / "best.safetensors").write_bytes(b"dear")
    with pytest.raises(RecipeError, match="holds the weights of a run; choose another output folder"):
        train(read_recipe(recipe_file, (f"output={tmp_path}", "seed=1")))
    assert [path.name for path in tmp_path.iterdir()] == ["best.safetensors"]


@pytest.mark.parametrize("folder", ["/proc/none/run", "file/run", "file"])
def test_train_rejects_an_output_folder_that_is_not_writable(recipe_file: Path, tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RsnError, match=r"cannot make the folder .*; choose another"):
        train(read_recipe(recipe_file, (f"output={tmp_path / folder}",)))


def test_train_starts_from_pretrained_weights(finished: Recipe, recipe_file: Path) -> None:
    folder = finished.output.parent / "second"
    start = finished.output / "last.safetensors"
    overrides = (f"output={folder}", f"pretrained={start}", "optimization.learning_rate=1e-12")
    train(read_recipe(recipe_file, overrides))
    before, after = load_model(start), load_model(folder / "last.safetensors")
    for old, new in zip(before.parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(old, new, atol=1e-7, rtol=0)


def test_frozen_modules_keep_weights_and_statistics(finished: Recipe, recipe_file: Path, tmp_path: Path) -> None:
    start = finished.output / "last.safetensors"
    settings = (f"output={tmp_path}", f"pretrained={start}", "freeze=[stem, stages.*.down]")
    train(read_recipe(recipe_file, settings))
    before, after = read_tensors(start), read_tensors(tmp_path / "last.safetensors")
    frozen = {name for name in before if name.startswith("stem.") or ".down." in name}
    assert frozen
    equal = {name for name in before if torch.equal(before[name], after[name])}
    assert frozen <= equal
    assert not {name for name in equal - frozen if name.endswith(("running_mean", "conv.weight"))}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("freeze=[stam]", "Invalid freeze: .* got 'stam', which matches none; the nearest are stem"),
        ("freeze=['*']", "match all of them"),
        (
            "optimization.learning_rate_multipliers={stages.*.hedas: 2}",
            r"got 'stages.\*.hedas', which matches none; the nearest are stages.\*.heads",
        ),
        ("optimization.learning_rate_multipliers={stem: 0}", "greater than 0"),
    ],
)
def test_train_rejects_wrong_patterns_of_modules(recipe_file: Path, tmp_path: Path, setting: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        train(read_recipe(recipe_file, (f"output={tmp_path / 'run'}", setting)))
    assert not (tmp_path / "run").exists()


def test_resume_rejects_another_recipe(finished: Recipe, recipe_file: Path) -> None:
    with pytest.raises(RecipeError, match=r"another recipe.*optimization.weight_decay was 1e-05 and is 0.1"):
        train(read_recipe(recipe_file, ("optimization.weight_decay=0.1",)), resume=True)
    with pytest.raises(RecipeError, match="seed was 0 and is 1"):
        train(read_recipe(recipe_file, ("seed=1",)), resume=True)


def test_environment_is_recorded(finished: Recipe) -> None:
    environment = json.loads((finished.output / "environment.json").read_text())
    assert environment["libraries"]["torch"] == torch.__version__
    assert environment["processes"] == 1


def test_train_rejects_a_dataset_without_usable_people(recipe_file: Path, tmp_path: Path, people_json: Path) -> None:
    source = f"{{annotations: {people_json}, images: {people_json.parent / 'images'}, min_box_height: 500}}"
    with pytest.raises(RecipeError, match=r"no person is left to train on.*8 box lower than 500 px"):
        train(read_recipe(recipe_file, (f"output={tmp_path / 'run'}", f"train=[{source}]")))


def test_set_head_gain_changes_only_heatmap_heads() -> None:
    model = create_model("2xrsn50")
    set_head_gain(model, 20.0)
    gains = {key for key, value in model.state_dict().items() if key.endswith("weight") and (value == 20).all()}
    assert gains == {f"stages.{stage}.heads.{level}.predict.norm.weight" for stage in (0, 1) for level in range(4)}


def test_run_report_has_table_curves_and_samples(finished: Recipe) -> None:
    run = Run.from_folder(finished.output)
    assert run.steps == 4
    assert run.seconds > 0
    report = (finished.output / "report.md").read_text()
    assert "| run | res18 | 64x64 | 4 x 4 |" in report
    assert read_image(finished.output / "curves.png").shape[1] > 600
    assert read_image(finished.output / "samples.jpg").shape == (240, 4 * 320, 3)


def test_best_validation_has_the_highest_ap() -> None:
    series = {
        "validation/ap": [(1, 0.1), (3, 0.4), (5, 0.2)],
        "validation/ap50": [(1, 0.5), (3, 0.6), (5, 0.7)],
    }
    run = Run(Path(), Recipe((), DatasetConfig(Path(), Path()), Path()), {}, series)
    assert (run.best.ap, run.best.ap50) == (0.4, 0.6)
    assert run.steps == 6


def test_report_compares_runs_with_published_rows(finished: Recipe, recipe_file: Path, tmp_path: Path) -> None:
    size = ("model=rsn18", "input_size=[256, 192]", "optimization.steps=2", "optimization.batch_size=2")
    train(read_recipe(recipe_file, (f"output={tmp_path / 'large'}", *size)))
    done = rsn("report", finished.output, tmp_path / "large", "--output", tmp_path / "both")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "both" / "report.html").read_text()
    rows = re.findall(r"<tr><td>(.*?)</td>", page)
    assert rows[:2] == ["run", "large"]
    assert len(rows) == 4  # two published rows of this size below the second
    assert "<td>73.6</td>" in page
    assert page.count('src="data:image/') == 3
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)


@pytest.mark.parametrize("folder", ["", "nowhere"])
def test_report_rejects_a_folder_without_a_run(folder: str, tmp_path: Path) -> None:
    done = rsn("report", tmp_path / folder)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "contains no training run" in done.stderr


def test_resumed_log_continues_at_the_checkpoint(tmp_path: Path) -> None:
    for number, rows in enumerate((["1,5.0", "3,4.0", "5,3.0"], ["3,4.5", "7,2.0"])):
        folder = tmp_path / f"version_{number}"
        folder.mkdir()
        (folder / "metrics.csv").write_text("\n".join(["step,train/loss", *rows]))
    assert read_series(tmp_path) == {"train/loss": [(1, 5.0), (3, 4.5), (7, 2.0)]}
