"""Whole training runs of the person detector on drawn people."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from command import rsn
from rsn.cli.train import Train
from rsn.data.loading import SampleIndex
from rsn.detection import open_detector
from rsn.errors import AnnotationError, RecipeError, WeightsError
from rsn.evaluation.detection import measure_detector
from rsn.training.detection import DetectorRecipe, detection_task, detector_network, train_detector
from rsn.training.recipe import ComputeConfig, read_recipe_as
from rsn.weights.loading import load_model
from rsn.weights.metadata import DetectorMetadata, DetectorSettings
from rsn.weights.sources import load_metadata


@pytest.fixture(scope="module")
def boxed_json(people_json: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn people in images that are completely labeled."""
    document = json.loads(people_json.read_text(encoding="utf-8"))
    for image in document["images"]:
        image["annotations_complete"] = True
    path = tmp_path_factory.mktemp("boxed") / "people.json"
    path.write_text(json.dumps(document))
    return path


@pytest.fixture(scope="module")
def recipe(boxed_json: Path, people_json: Path, tmp_path_factory: pytest.TempPathFactory) -> DetectorRecipe:
    source = {"annotations": str(boxed_json), "images": str(people_json.parent / "images")}
    folder = tmp_path_factory.mktemp("recipe")
    document = {
        "output": str(folder / "run"), "train": [source], "validation": source, "pretrained": None,
        "input_size": [64, 64], "detector": {"image_sizes": [64]}, "val_interval": 2,
        "optimization": {"steps": 4, "batch_size": 2, "warmup_steps": 1, "ema_decay": 0.9},
        "compute": {"workers": 0},
    }  # fmt: skip
    (folder / "detector.yaml").write_text(yaml.safe_dump(document))
    return read_recipe_as(DetectorRecipe, folder / "detector.yaml")


@pytest.fixture(scope="module")
def best(recipe: DetectorRecipe) -> Path:
    assert Train(recipe.output.parent / "detector.yaml").run() == 0  # it recognizes the recipe of a detector
    return recipe.output / "best.safetensors"


def test_train_detector_writes_weights_that_open_as_a_detector(best: Path, recipe: DetectorRecipe) -> None:
    boxes, scores = open_detector(best, device="cpu", box_threshold=0.0)(np.zeros((90, 120, 3), np.uint8))
    assert boxes.shape == (len(scores), 4)
    metadata = load_metadata(best)
    assert metadata.input_size == (64, 64)
    assert metadata.steps in (2, 4)
    assert set(metadata.metrics) == {"AP", "AP50"}
    assert (recipe.output / "last.ckpt").is_file()


def test_train_detector_does_not_overwrite_a_run_and_resumes_it(best: Path, recipe: DetectorRecipe) -> None:
    with pytest.raises(RecipeError, match="continue it with --resume"):
        train_detector(recipe)
    last = (recipe.output / "last.safetensors").read_bytes()
    assert train_detector(recipe, resume=True) == best  # it is at its end
    assert (recipe.output / "last.safetensors").read_bytes() == last
    longer = replace(recipe, optimization=replace(recipe.optimization, steps=6))
    with pytest.raises(RecipeError, match=r"optimization\.steps was 4 and is 6"):
        train_detector(longer, resume=True)


def test_cached_images_give_the_same_losses(best: Path, recipe: DetectorRecipe, tmp_path: Path) -> None:
    compute = ComputeConfig(cache_images="device", workers=0)
    train_detector(replace(recipe, output=tmp_path, compute=compute))
    # Some positions are rounded to the next 1/32 pixel; what that changes grows with every step.
    assert losses(tmp_path)[0] == pytest.approx(losses(recipe.output)[0], rel=2e-2)


def losses(folder: Path) -> list[float]:
    with open(folder / "logs/version_0/metrics.csv", encoding="utf-8") as file:
        return [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]


def test_train_detector_does_not_overwrite_weights(best: Path, recipe: DetectorRecipe, tmp_path: Path) -> None:
    (tmp_path / "best.safetensors").write_bytes(best.read_bytes())
    with pytest.raises(RecipeError, match="holds the weights of a run"):
        train_detector(replace(recipe, output=tmp_path))


def test_dataset_has_the_weight_of_unlabeled_people_that_its_entry_names(recipe: DetectorRecipe) -> None:
    crops = replace(recipe.train[0], unlabeled=0.05, sampling_weight=0.5)
    task = detection_task(replace(recipe, train=(recipe.train[0], crops), repeat_complete=3))
    assert task.weights == [3.0] * 4 + [1.5] * 4
    dataset = task.dataset(None)
    assert [float(dataset[SampleIndex(0, index)]["unlabeled"]) for index in (0, 4)] == pytest.approx([1.0, 0.05])


def test_train_detector_rejects_missing_images_before_the_start(recipe: DetectorRecipe, tmp_path: Path) -> None:
    source = replace(recipe.train[0], images=tmp_path)
    with pytest.raises(AnnotationError, match="named by the annotations but not in the images folder"):
        train_detector(replace(recipe, train=(source,), output=tmp_path / "run"))
    with pytest.raises(RecipeError, match="Invalid train: expected at least one set, got none"):
        train_detector(replace(recipe, train=(), output=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_train_detector_rejects_a_batch_that_cannot_be_divided(recipe: DetectorRecipe, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"batch_size: expected a multiple of"):
        train_detector(replace(recipe, output=tmp_path / "run", compute=ComputeConfig(accumulate_grad_batches=3)))
    assert not (tmp_path / "run").exists()


def test_detector_network_takes_all_but_the_last_layers_from_pose_weights() -> None:
    network = detector_network(DetectorMetadata("rsn18"), "rsn18.starter")
    pose = load_model("rsn18.starter").network
    ours, theirs = network.state_dict(), pose.state_dict()
    fresh = [key for key in ours if ours[key].shape != theirs[key].shape]
    assert {key.rsplit(".heads.", 1)[1].split(".")[1] for key in fresh} == {"predict"}
    assert all(torch.equal(ours[key], theirs[key]) for key in ours if key not in fresh)
    assert network.training


def test_open_detector_rejects_pose_weights(random_weights: Path) -> None:
    with pytest.raises(WeightsError, match="find coco_17 keypoints"):
        open_detector(random_weights)


@pytest.mark.slow
def test_short_training_detects_drawn_people(recipe: DetectorRecipe, tmp_path: Path) -> None:
    longer = replace(
        recipe,
        output=tmp_path / "run",
        input_size=(96, 96),
        detector=DetectorSettings((96, 160)),
        val_interval=80,
        optimization=replace(
            recipe.optimization, steps=240, batch_size=4, learning_rate=2e-3, warmup_steps=10, ema_decay=None
        ),
    )
    best = train_detector(longer)
    detector = open_detector(best, device="cpu", box_threshold=0.02)
    document = json.loads(recipe.validation.annotations.read_text())
    ap50 = measure_detector(detector, document, recipe.validation.images).ap50
    assert ap50 > 0.6


def test_report_rejects_the_run_of_a_detector(best: Path) -> None:
    done = rsn("report", best.parent)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"rsn: {best.parent}: the run trained a person detector; reports are for runs of pose networks"
    ]
