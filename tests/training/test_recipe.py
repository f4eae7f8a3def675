"""Recipes: what they hold, and what a mistake in one gets."""

from pathlib import Path

import pytest

from rsn.errors import RecipeError
from rsn.training.detector import DetectorRecipe
from rsn.training.recipe import read_recipe, read_settings, write_recipe

RECIPES = sorted((Path(__file__).parents[2] / "recipes").rglob("*.yaml"))
SMALL = """
output: runs/small
train: [{annotations: a.json, images: a}]
validation: {annotations: b.json, images: b}
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_can_be_read(path: Path) -> None:
    recipe = read_settings(path, (), DetectorRecipe) if path.parent.name == "detector" else read_recipe(path)
    assert recipe.optimisation.steps % recipe.validate_every == 0


def test_the_defaults_are_the_references(small: Path) -> None:
    recipe = read_recipe(small)
    assert recipe.optimisation.steps == 96_000
    assert recipe.optimisation.batch_size == 256
    assert recipe.optimisation.learning_rate == 4e-3
    assert recipe.optimisation.weight_decay == 1e-5
    assert recipe.loss.hard_joints == 8


def test_overrides_reach_inside(small: Path) -> None:
    recipe = read_recipe(small, ("optimisation.steps=4800", "input_size=[128, 96]", "loss.hard_joints=null"))
    assert recipe.optimisation.steps == 4800
    assert recipe.input_size == (128, 96)
    assert recipe.loss.hard_joints is None


def test_a_written_recipe_reads_as_itself(small: Path, tmp_path: Path) -> None:
    recipe = read_recipe(small, ("seed=3",))
    (tmp_path / "again.yaml").write_text(write_recipe(recipe))
    assert read_recipe(tmp_path / "again.yaml") == recipe


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("optimisation.stebs=4", "there is no setting optimisation.stebs; did you mean optimisation.steps"),
        ("loss.hard_joints=0", "hard_joints: at least 1"),
        ("loss.hard_joint=4", "there is no setting loss.hard_joint; did you mean loss.hard_joints"),
        (
            "augmentation.rotation=4",
            "there is no setting augmentation.rotation; did you mean augmentation.max_rotation",
        ),
        ("augmentation.scale=4", "augmentation.scale: "),
        ("modl=rsn18", "there is no setting modl; did you mean model"),
        ("optimisation.steps=many", "optimisation.steps: .*integer.*many"),
        ("optimisation.steps=0", "optimisation.steps: .*greater than 0"),
        ("input_size=[250, 192]", "input_size: .*multiples of 32"),
        ("validate_every=7", "validate_every: .*96000"),
        ("loss.convention=coco", "loss.convention: .*'rsn', 'mmpose' or 'empty'"),
        ("seed", "write it as key=value"),
        ("seed.x=1", "seed has no settings inside"),
        ("=1", "write it as key=value"),
        ("seed=[", "not valid YAML"),
    ],
)
def test_a_wrong_setting_is_a_sentence(small: Path, override: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        read_recipe(small, ("seed=1", override))


@pytest.mark.parametrize("content", [None, "a: [", "- a\n- b"])
def test_files_that_are_no_recipes(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "odd.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RecipeError, match=r"odd\.yaml"):
        read_recipe(path)
