"""The recipes of the public benchmarks, on small files in the official formats where the recipes look for them."""

import json
from pathlib import Path

import pytest

import rsn
from benchmark_miniatures import MINIATURES, file_names, write_images
from rsn.errors import RecipeError
from rsn.evaluation import BENCHMARKS
from rsn.training.recipe import DatasetConfig, Recipe, read_recipe
from rsn.training.run import read_people
from small_network import small_network

RECIPES = Path(__file__).parents[2] / "recipes"
NAMES = [name for name in BENCHMARKS if name not in ("coco", "mpii")]
COCO_FORM = ("ochuman", "humanart")  # read as COCO's files are
TINY = (
    "input_size=[64, 64]", "optimization.steps=2", "optimization.batch_size=4", "optimization.warmup_steps=1",
    "val_interval=2", "compute.workers=0",
)  # fmt: skip


def write_dataset(source: DatasetConfig) -> None:
    """Make the files of a dataset where a recipe names them, in the working directory."""
    made = MINIATURES[source.dataset or "coco"]()
    source.annotations.parent.mkdir(parents=True, exist_ok=True)
    source.annotations.write_text(json.dumps(made.annotations))
    write_images(source.images, file_names(made.annotations))


def prepare(name: str, *overrides: str) -> Recipe:
    recipe = read_recipe(RECIPES / name / "rsn18_256x192.yaml", [*TINY, *overrides])
    for source in (*recipe.train, recipe.validation):
        write_dataset(source)
    return recipe


@pytest.mark.filterwarnings("ignore::rsn.errors.RsnWarning", "ignore:.*lr_scheduler.step.*:UserWarning")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in COCO_FORM else ()) for name in NAMES]
)
def test_recipe_of_a_benchmark_trains_and_validates(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hotcoco")
    monkeypatch.chdir(tmp_path)
    recipe = prepare(name)
    assert recipe.validation.dataset == name
    count = len(read_people(recipe.validation).skeleton)
    best = rsn.train(recipe, network=small_network(count))
    assert best.is_file()
    metric = "Ankle" if name == "jhmdb" else "APM"
    assert metric in (recipe.output / "report.md").read_text()


def test_unknown_dataset_in_a_recipe_is_rejected() -> None:
    with pytest.raises(RecipeError, match="did you mean crowdpose"):
        read_recipe(RECIPES / "crowdpose" / "rsn18_256x192.yaml", ["validation.dataset=crowdpse"])


def test_skeleton_file_for_a_benchmark_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").write_text("{name: own, keypoints: [a, b]}", encoding="utf-8")
    recipe = prepare("crowdpose", "validation.skeleton=own.yaml")
    with pytest.raises(rsn.RsnError, match="CrowdPose's skeleton is known"):
        read_people(recipe.validation)
