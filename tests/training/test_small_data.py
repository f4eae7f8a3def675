"""rsn finetune with sets that are small or odd in other ways, and a tiny network."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from command import rsn
from people_on_disk import write_people
from rsn import COCO_17, PoseEstimator, Skeleton
from rsn.models.network import PoseNetwork
from rsn.models.registry import register_model
from rsn.models.residual_steps import residual_steps
from rsn.weights.loading import save_weights
from rsn.weights.metadata import ModelMetadata

Document = dict[str, Any]
Change = Callable[[Document], object]
SHORT = ("optimization.steps=2", "val_interval=2")
MANY = Skeleton.from_names("many", [f"keypoint_{number}" for number in range(133)])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network for COCO's keypoints, with random weights."""
    small = partial(PoseNetwork, block=residual_steps, blocks_per_layer=(1,) * 4, num_stages=1, up_channels=16)
    register_model("tiny", small)
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(path, small(17), ModelMetadata("tiny", skeleton=COCO_17, input_size=(64, 64)))
    return path


def one_person_per_image(document: Document) -> None:
    document["annotations"] = document["annotations"][::2]


def hide_last_keypoint(document: Document) -> None:
    for person in document["annotations"]:
        person["keypoints"][-3:] = [0, 0, 0]


def all_occluded(document: Document) -> None:
    for person in document["annotations"]:
        person["keypoints"][2::3] = [1] * (len(person["keypoints"]) // 3)


@pytest.mark.parametrize(
    ("images", "skeleton", "change", "settings"),
    [
        pytest.param(2, COCO_17, one_person_per_image, (), id="one person to train on"),
        pytest.param(3, COCO_17, one_person_per_image, (), id="fewer persons than a batch"),
        pytest.param(4, COCO_17, one_person_per_image, ("optimization.batch_size=2",), id="last batch of one"),
        pytest.param(2, COCO_17, hide_last_keypoint, (), id="keypoint that is never visible"),
        pytest.param(2, COCO_17, all_occluded, (), id="only occluded keypoints"),
        pytest.param(2, Skeleton.from_names("tip", ["tip"]), None, (), id="1 keypoint"),
        pytest.param(2, MANY, None, (), id="133 keypoints without flip pairs"),
        pytest.param(2, COCO_17, None, ("augmentation.flip_probability=0",), id="no flip"),
    ],
)
def test_small_and_odd_sets_train_and_predict(
    tmp_path: Path, weights: Path, images: int, skeleton: Skeleton, change: Change | None, settings: tuple[str, ...]
) -> None:
    labels = write_people(tmp_path / "data", images=images, skeleton=skeleton)
    if change:
        document = json.loads(labels.read_text())
        change(document)
        labels.write_text(json.dumps(document))
    out = tmp_path / "run"
    done = rsn(
        "finetune", labels, "--images", labels.parent / "images", "--from", weights, "--output", out,
        "--set", *SHORT, *settings,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    estimator = PoseEstimator(out / "best.safetensors", backend="torch", device="cpu")
    found = estimator(labels.parent / "images" / "000000000001.png", boxes="whole")
    assert found.keypoints.shape == (1, len(skeleton), 2)
    assert (out / "samples.jpg").is_file()


def no_images(folder: Path) -> None:
    for image in (folder / "images").iterdir():
        image.unlink()


def one_image_missing(folder: Path) -> None:
    (folder / "images" / "000000000002.png").unlink()


def one_image(folder: Path) -> None:
    write_people(folder, images=1)


def other_names_to_validate(folder: Path) -> None:
    write_people(folder / "val", images=1, skeleton=Skeleton.from_names("other", ["noze", "tale"]))


def nothing_labeled(folder: Path) -> None:
    labels = folder / "people.json"
    document = json.loads(labels.read_text())
    for person in document["annotations"]:
        person["keypoints"] = [0] * 51
    labels.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("spoil", "arguments", "message"),
    [
        (no_images, (), "images/000000000001.png"),
        (one_image_missing, (), "000000000002.png"),
        (one_image, (), "expected at least 2 images with labeled persons"),
        (nothing_labeled, (), "no person has keypoints"),
        (other_names_to_validate, ("--val", "val/people.json"), "nose (nearest: noze)"),
        (None, ("--images", "nowhere"), "nowhere"),
        (None, ("--val", "nowhere.json"), "nowhere.json"),
        (None, ("--from", "nowhere.safetensors"), "nowhere.safetensors: there is no such weights file"),
        (None, ("--set", "model=rsn18"), "tensors fit rsn18; the weights are of tiny"),
        (None, ("--set", "freeze=['*']"), "Invalid freeze: expected some parameters to train"),
        (None, ("--set", "freeze=[steem]"), "got 'steem', which matches none; the nearest are stem"),
        (None, ("--set", "optimization.batch_size=1", "input_size=[32, 32]"), "raise optimization.batch_size"),
    ],
)
def test_unusable_input_is_one_sentence_before_the_first_step(
    tmp_path: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path], None] | None,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    write_people(tmp_path, images=3)
    monkeypatch.chdir(tmp_path)
    if spoil:
        spoil(tmp_path)
    usual = ("--images", "images", "--from", weights, "--output", "run")
    done = rsn("finetune", "people.json", *(() if "--images" in arguments else usual[:2]), *usual[2:], *arguments)
    assert done.returncode == 1, done.stderr
    assert message in done.stderr.splitlines()[-1]
    assert not (tmp_path / "run" / "recipe.yaml").exists()  # what a run begins with
