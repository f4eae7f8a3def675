"""Reading and writing recipes, and messages about mistakes in them."""

from pathlib import Path

import pytest

from rsn import list_models
from rsn.codecs import MegviiCodec, UnbiasedCodec
from rsn.data.augment import Augmentation
from rsn.data.loading import Interval
from rsn.errors import RecipeError
from rsn.training.detection import DetectorRecipe, read_any_recipe
from rsn.training.losses import PoseLoss
from rsn.training.recipe import OptimizationConfig, read_recipe, write_recipe
from rsn.weights.published import published_results

RECIPES = sorted((Path(__file__).parents[2] / "recipes").rglob("*.yaml"))
COCO = Path(__file__).parents[2] / "recipes" / "coco"
ROWS = [path for path in RECIPES if path.parent.name in ("coco", "mpii") and "modern" not in path.stem]
MPII_AUGMENTATION = Augmentation(
    bbox_padding=(1.25, 1.25), jitter=(0, 0), half_body_probability=0.5, half_body_min_keypoints=8,
    half_body_jitter=(0.6, 0.6), scale=(0.75, 1.25), max_rotation=60,
)  # fmt: skip
SMALL = """
output: runs/small
train: [{annotations: a.json, images: a}]
validation: {annotations: b.json, images: b}
"""

TWO_STAGES = "[{input_size: [128, 96], share: 0.4, batch_size: 384}, {input_size: [256, 192], share: 0.6}]"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_is_valid(path: Path) -> None:
    recipe = read_any_recipe(path)
    assert isinstance(recipe, DetectorRecipe) == (path.parent.name == "detector")
    assert recipe.optimization.steps % recipe.val_interval == 0


@pytest.mark.parametrize("path", ROWS, ids=lambda path: path.stem)
def test_recipe_of_a_published_row_has_the_reference_schedule(path: Path) -> None:
    recipe, on_mpii = read_recipe(path), path.parent.name == "mpii"
    assert path.stem == "{}_{}x{}".format(recipe.model, *recipe.input_size)
    assert recipe.optimization == OptimizationConfig(steps=28_800 if on_mpii else 96_000)
    assert recipe.val_interval == (1_600 if on_mpii else 2_400)
    assert recipe.augmentation == (MPII_AUGMENTATION if on_mpii else Augmentation())
    assert recipe.loss == PoseLoss()
    assert (recipe.codec, recipe.sync_batchnorm) == (MegviiCodec(blur_kernel_size=9 if on_mpii else 5), False)


def test_every_published_row_has_a_recipe() -> None:
    rows = {
        (result.dataset, model, result.input_size)
        for model in list_models()
        for result in published_results(model)
        if result.dataset in ("COCO val", "MPII val")
    }
    recipes = {path: read_recipe(path) for path in ROWS}
    assert len(rows) > 10
    assert rows <= {
        (f"{path.parent.name.upper()} val", recipe.model, recipe.input_size) for path, recipe in recipes.items()
    }


def test_modern_recipe_has_the_data_and_length_of_the_reference() -> None:
    reference, modern = (read_recipe(COCO / f"rsn18_256x192{ending}.yaml") for ending in ("", "_modern"))
    assert (modern.train, modern.validation, modern.input_size) == (
        reference.train, reference.validation, reference.input_size
    )  # fmt: skip
    length = ("steps", "batch_size", "learning_rate", "warmup_steps")
    for setting in length:
        assert getattr(modern.optimization, setting) == getattr(reference.optimization, setting)
    assert (modern.codec, modern.optimization.optimizer) == (UnbiasedCodec(), "adamw")


def test_defaults_equal_the_reference(small: Path) -> None:
    recipe = read_recipe(small)
    assert recipe.optimization.steps == 96_000
    assert recipe.optimization.batch_size == 256
    assert recipe.optimization.learning_rate == 4e-3
    assert recipe.optimization.weight_decay == 1e-5
    assert recipe.loss.ohkm_topk == 8


def test_overrides_reach_nested_settings(small: Path) -> None:
    recipe = read_recipe(small, ("optimization.steps=4800", "input_size=[128, 96]", "loss.ohkm_topk=null"))
    assert recipe.optimization.steps == 4800
    assert recipe.input_size == (128, 96)
    assert recipe.loss.ohkm_topk is None
    assert read_recipe(small, ("train.0.images=other",)).train[0].images == Path("other")


def test_stages_divide_the_validations_by_their_shares(small: Path) -> None:
    recipe = read_recipe(small, (f"stages={TWO_STAGES}", "optimization.steps=1000", "val_interval=100"))
    assert recipe.intervals() == [Interval(384, (128, 96))] * 4 + [Interval(256, (256, 192))] * 6
    scaled = recipe.with_batch_size(64)
    assert scaled.intervals() == [Interval(96, (128, 96))] * 4 + [Interval(64, (256, 192))] * 6
    assert (scaled.val_interval, scaled.optimization.steps) == (400, 4000)
    # A stage ends at the nearest validation.
    few = read_recipe(small, (f"stages={TWO_STAGES}", "optimization.steps=2", "val_interval=1"))
    assert [interval.size for interval in few.intervals()] == [(128, 96), (256, 192)]


def test_written_recipe_reads_back(small: Path, tmp_path: Path) -> None:
    recipe = read_recipe(small, ("seed=3",))
    (tmp_path / "again.yaml").write_text(write_recipe(recipe))
    assert read_recipe(tmp_path / "again.yaml") == recipe


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimization.stebs=4", "Unknown key: 'optimization.stebs'. Did you mean 'optimization.steps'"),
        ("loss.ohkm_topk=0", "ohkm_topk: expected"),
        ("loss.ohkm_top=4", "Unknown key: 'loss.ohkm_top'. Did you mean 'loss.ohkm_topk'"),
        (
            "augmentation.rotation=4",
            "Unknown key: 'augmentation.rotation'. Did you mean 'augmentation.max_rotation'",
        ),
        ("augmentation.scale=4", "Invalid type for 'augmentation.scale': expected list, got number 4"),
        ("modl=rsn18", "Unknown key: 'modl'. Did you mean 'model'"),
        (
            "optimization.steps=many",
            "Invalid type for 'optimization.steps': expected whole number, got text 'many'",
        ),
        ("optimization.steps=0", "Invalid value for 'optimization.steps': expected greater than 0, got 0"),
        ("input_size=[250, 192]", "Invalid input_size: expected multiples of 32"),
        ("val_interval=7", "Invalid val_interval: expected a divisor of optimization.steps, 96000, got 7"),
        (
            "loss.target_weighting=coco",
            "Invalid value for 'loss.target_weighting': expected 'rsn', 'mmpose' or 'empty'",
        ),
        (
            "compute={step: captured, accumulate_grad_batches: 2}",
            "Invalid compute.step: captured works neither with compute.acc",
        ),
        (f"stages={TWO_STAGES.replace('0.4', '0.3')}", "Invalid stages: expected shares that sum to 1, got 0.9"),
        (f"stages={TWO_STAGES.replace('96', '90')}", r"Invalid input_size: expected multiples of 32, got \[128, 90\]"),
        (
            f"stages={TWO_STAGES.replace('192', '224')}",
            r"expected the last one to have the recipe's input_size, \[256, 192",
        ),
        (
            f"stages={TWO_STAGES.replace('0.4', '0.01').replace('0.6', '0.99')}",
            r"expected at least one validation in each, got none in 0.01 of 96000 steps with \[128, 96\]",
        ),
        (f"stages={TWO_STAGES.replace('0.4', '-0.4')}", "Invalid value for 'stages.0.share': expected greater than 0"),
        (
            "train=[{annotations: a, images: b, sampling_weight: 0}]",
            "'train.0.sampling_weight': expected greater than 0",
        ),
        (
            "train=[{annotations: a, images: b, sampling_weight: -1}]",
            "'train.0.sampling_weight': expected greater than",
        ),
        (
            "optimization.optimizer=sgd",
            "Invalid value for 'optimization.optimizer': expected 'adam', 'adamw' or 'muon'",
        ),
        ("optimization.decay_share=0", "Invalid value for 'optimization.decay_share': expected greater than 0"),
        ("compute.precision=fp8", "Invalid value for 'compute.precision': expected 'auto', '32-true'"),
        ("seed", "write it as key=value"),
        ("seed.x=1", "seed has no settings inside"),
        ("train.1.images=b", "expected the number of one of the 1 entries of train, counted from 0, got 1"),
        ("train.images=b", "expected the number of one of the 1 entries of train, counted from 0, got images"),
        ("=1", "write it as key=value"),
        ("seed=[", "not valid YAML"),
    ],
)
def test_read_recipe_rejects_wrong_settings(small: Path, override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read_recipe(small, ("seed=1", override))


@pytest.mark.parametrize("content", [None, "a: [", "- a\n- b"])
def test_read_recipe_rejects_other_files(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "odd.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RecipeError, match=r"odd\.yaml"):
        read_recipe(path)
