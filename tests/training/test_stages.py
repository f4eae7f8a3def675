"""Runs whose crops change their size, on drawn people."""

import json
import re
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from command import rsn
from interrupted_runs import PARTS, start_run
from rsn.data.coco import read_coco
from rsn.errors import RecipeError
from rsn.evaluation.labeled import mean_oks
from rsn.training.recipe import Recipe, read_recipe
from rsn.training.run import _build_task, train
from rsn.weights.sources import load_metadata
from rsn.weights.transfer import rescale_heads
from small_network import small_network

STAGES = (
    "stages=[{input_size: [32, 32], share: 0.5, batch_size: 6}, {input_size: [64, 64], share: 0.5}]",
    "optimization.steps=8",
    "optimization.optimizer=muon",
    "optimization.ema_decay=0.9",
)


def weighted(recipe_file: Path) -> str:
    """The training set of a recipe, twice with different weights."""
    source = read_recipe(recipe_file).train[0]
    one = f"{{annotations: {source.annotations}, images: {source.images}, sampling_weight: "
    return f"train=[{one}1.7}}, {one}0.6}}]"


def recipe_in(folder: Path, recipe_file: Path, changes: Sequence[str] = ()) -> Recipe:
    return read_recipe(recipe_file, (f"output={folder}", weighted(recipe_file), *STAGES, *changes))


@pytest.fixture(scope="module")
def unbroken(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    recipe = recipe_in(tmp_path_factory.mktemp("stages"), recipe_file)
    train(recipe)
    return recipe


@pytest.mark.parametrize("validations", [1, 2])  # in the first stage; where the size changes
def test_killed_run_resumes_to_identical_weights(
    unbroken: Recipe, recipe_file: Path, tmp_path: Path, validations: int
) -> None:
    settings = (weighted(recipe_file), *STAGES)
    process = start_run(recipe_file, tmp_path, *settings, validations=validations)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.stderr
    train(recipe_in(tmp_path, recipe_file), resume=True)
    ends = [torch.load(folder / "last.ckpt", weights_only=True) for folder in (unbroken.output, tmp_path)]
    assert ends[0]["global_step"] == 8
    for part in PARTS:
        torch.testing.assert_close(ends[1][part], ends[0][part], atol=0, rtol=0, msg=part)


def test_weights_have_the_input_size_of_their_stage(unbroken: Recipe, recipe_file: Path, tmp_path: Path) -> None:
    assert load_metadata(unbroken.output / "last.safetensors").input_size == (64, 64)
    best = load_metadata(unbroken.output / "best.safetensors")
    assert (best.input_size, best.steps in (6, 8)) == ((64, 64), True)  # of the last stage, whatever the first reached


def test_page_has_the_people_of_every_validation(unbroken: Recipe) -> None:
    page = (unbroken.output / "progress.html").read_text()
    assert re.findall(r"<h2>Step (\d+), (\S+), AP \d\.\d{3}, mean OKS \d\.\d{3}</h2>", page) == [
        ("8", "64x64"), ("6", "64x64"), ("4", "32x32"), ("2", "32x32")
    ]  # fmt: skip
    for name in re.findall(r'src="([^"]+)"', page):
        assert (unbroken.output / name).read_bytes()[:2] == b"\xff\xd8"


def test_report_has_the_steps_of_every_stage(unbroken: Recipe) -> None:
    assert "| 64x64 | 4 x 6, 4 x 4 |" in (unbroken.output / "report.md").read_text()


def test_lines_have_mean_oks_the_best_so_far_and_the_time_left(recipe_file: Path, tmp_path: Path) -> None:
    done = rsn("train", recipe_file, "--set", f"output={tmp_path}", *STAGES[1:])
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("step ")]
    pattern = r"step \d/8: .*AP \d\.\d{3}, mean OKS \d\.\d{3} \(best \d\.\d{3} at step \d\), .* \d:\d\d:\d\d left"
    assert len(lines) == 4
    assert all(re.fullmatch(pattern, line) for line in lines), lines


def test_rescaled_heads_keep_the_size_of_the_maps() -> None:
    network = small_network(3)
    before = network.stages[0].heads[-1].predict.norm.weight.clone()
    rescale_heads(network, (128, 96), (256, 192))
    torch.testing.assert_close(network.stages[0].heads[-1].predict.norm.weight.data, before.data / 2)


def test_pretrained_weights_are_rescaled_for_the_first_stage(recipe_file: Path, tmp_path: Path) -> None:
    gains = []
    for stages in ("stages=[]", STAGES[0]):
        settings = ("pretrained=rsn18.starter", "model=rsn18", f"output={tmp_path}", stages)
        recipe = read_recipe(recipe_file, settings)
        task = _build_task(recipe, None, None, recipe.loss)
        gains.append(task.network.stages[0].heads[-1].predict.norm.weight.data)  # type: ignore[index, union-attr]
    torch.testing.assert_close(gains[1], 2 * gains[0])


def test_stages_reject_a_dataset_of_ones_own(recipe_file: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="Invalid stages: expected none for a dataset of your own"):
        train(recipe_in(tmp_path / "run", recipe_file), dataset=[{}] * 4)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("freeze=[stem, stages.*]",), "Invalid freeze: expected some parameters to train"),
        (("compute.accumulate_grad_batches=4",), "Invalid batch_size: expected a multiple of 1 processes x 4 parts"),
    ],
)
def test_train_rejects_settings_before_the_start(
    recipe_file: Path, tmp_path: Path, change: Sequence[str], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        train(recipe_in(tmp_path / "run", recipe_file, change))
    assert not (tmp_path / "run").exists()


def test_mean_oks_is_one_for_the_labels_and_zero_without_poses(people_json: Path) -> None:
    people = read_coco(people_json, people_json.parent / "images")
    results = [
        {"image_id": one["image_id"], "box": one["bbox"], "keypoints": one["keypoints"]}
        for one in json.loads(people_json.read_text(encoding="utf-8"))["annotations"]
    ]
    assert mean_oks(people.people, results, people.skeleton) == pytest.approx(1)
    assert mean_oks(people.people, results[:4], people.skeleton) == pytest.approx(0.5)
