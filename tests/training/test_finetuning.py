"""rsn finetune: from labels to weights, through the real command line."""

import json
from pathlib import Path

import pytest
import yaml

from command import rsn
from people_on_disk import write_people
from rsn import LSP_14, Skeleton, load_model
from rsn.errors import AnnotationError, RecipeError, RsnError
from rsn.training.finetuning import SCHEDULES, finetuning_recipe

CLIMBER = Skeleton.from_names("climber", ["head", "left_hand", "right_hand", "left_foot", "right_foot"])
SHORT = (
    "--set",
    "optimization.steps=2",
    "val_interval=2",
    "input_size=[64, 64]",
)


@pytest.fixture
def climbers(tmp_path: Path) -> Path:
    return write_people(tmp_path / "climbers", images=6, skeleton=CLIMBER)


def test_one_command_gives_weights_of_the_new_skeleton(climbers: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = rsn("finetune", climbers, "--images", climbers.parent / "images", "--output", out, *SHORT)
    assert done.returncode == 0, done.stderr
    assert "left_hand (from left_wrist)" in done.stdout + done.stderr
    metadata = load_model(out / "best.safetensors").metadata
    assert metadata.skeleton.keypoint_names == CLIMBER.keypoint_names
    assert (metadata.model, metadata.codec.name) == ("rsn18", "unbiased")
    assert (out / "samples.jpg").is_file()
    parts = [json.loads((out / name).read_text())["images"] for name in ("train.json", "validation.json")]
    assert [len(part) for part in parts] == [5, 1]
    assert not {image["id"] for image in parts[0]} & {image["id"] for image in parts[1]}


def test_saved_recipe_trains_the_same(climbers: Path, tmp_path: Path) -> None:
    images, saved = climbers.parent / "images", tmp_path / "recipe.yaml"
    arguments = ("--images", images, "--output", tmp_path / "a", *SHORT, "--save-recipe", saved)
    assert rsn("finetune", climbers, *arguments).returncode == 0
    assert rsn("train", saved, "--set", f"output={tmp_path / 'b'}").returncode == 0
    first, second = (load_model(tmp_path / run / "last.safetensors").state_dict() for run in "ab")
    assert all(first[key].equal(second[key]) for key in first)


def test_schedule_and_flip_follow_the_data(tmp_path: Path) -> None:
    few = write_people(tmp_path / "few", images=4, skeleton=LSP_14)
    recipe = finetuning_recipe(few, few.parent / "images", tmp_path / "run")
    assert (recipe.optimization.batch_size, recipe.optimization.steps) == (6, 200)
    assert recipe.augmentation.flip_probability == 0.5
    unpaired = write_people(tmp_path / "unpaired", images=4, skeleton=Skeleton.from_names("box", ["a", "b"]))
    recipe = finetuning_recipe(unpaired, unpaired.parent / "images", tmp_path / "run2")
    assert recipe.augmentation.flip_probability == 0.0


@pytest.mark.parametrize(("steps", "interval"), [(400, 50), (30, 3), (7, 1)])
def test_validation_and_warmup_follow_the_steps(climbers: Path, tmp_path: Path, steps: int, interval: int) -> None:
    changed = [f"optimization.steps={steps}"]
    recipe = finetuning_recipe(climbers, climbers.parent / "images", tmp_path / "run", overrides=changed)
    assert (recipe.val_interval, recipe.optimization.warmup_steps) == (interval, steps // 20)


def test_own_validation_labels_are_used(climbers: Path, tmp_path: Path) -> None:
    recipe = finetuning_recipe(climbers, climbers.parent / "images", tmp_path / "run", validation=climbers)
    assert recipe.validation.annotations == climbers
    assert not (tmp_path / "run").exists()


def test_one_image_cannot_be_split(tmp_path: Path) -> None:
    alone = write_people(tmp_path / "one", images=1, skeleton=CLIMBER)
    with pytest.raises(AnnotationError, match="expected at least 2 images with labeled persons"):
        finetuning_recipe(alone, alone.parent / "images", tmp_path / "run")


@pytest.mark.parametrize("overrides", [["freeze=[stem, stages]"], ["freeze=[steem]"]])
def test_freezing_all_or_nothing_is_rejected_before_training(
    climbers: Path, tmp_path: Path, overrides: list[str]
) -> None:
    done = rsn(
        "finetune",
        climbers,
        "--images",
        climbers.parent / "images",
        "--output",
        tmp_path / "r",
        "--set",
        *overrides,
    )
    assert done.returncode == 1
    assert "Invalid freeze" in done.stderr
    assert not (tmp_path / "r" / "last.safetensors").exists()


def test_detector_weights_are_rejected(climbers: Path, tmp_path: Path) -> None:
    with pytest.raises(RsnError, match="person boxes"):
        finetuning_recipe(climbers, climbers.parent / "images", tmp_path / "run", pretrained="rsn18.people")


def test_recipe_is_valid_yaml_of_rsn_train(climbers: Path, tmp_path: Path) -> None:
    from rsn.training.recipe import write_recipe

    recipe = finetuning_recipe(climbers, climbers.parent / "images", tmp_path / "run")
    assert yaml.safe_load(write_recipe(recipe))["pretrained"] == "rsn18.starter"


def test_documented_schedule_is_the_one_used() -> None:
    page = (Path(__file__).parents[2] / "docs" / "your-own-keypoints.md").read_text()
    for schedule in SCHEDULES:
        rate = f"{schedule.learning_rate:.0e}".replace("e-0", "e-")
        assert f"| {schedule.batch_size} | {schedule.steps:,} | {rate} |" in page


@pytest.mark.parametrize("override", ["optimization=5", "optimization.steps=many", "optimization.steps=0"])
def test_invalid_overrides_are_one_sentence(climbers: Path, tmp_path: Path, override: str) -> None:
    with pytest.raises(RecipeError, match="optimization"):
        finetuning_recipe(climbers, climbers.parent / "images", tmp_path / "run", overrides=[override])
