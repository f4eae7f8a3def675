"""Checks of data before the first training step."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from command import rsn
from people_on_disk import write_people
from rsn.data.checks import check_dataset
from rsn.data.issues import UNREADABLE
from rsn.errors import AnnotationError, RsnWarning
from rsn.skeletons import COCO_17, LSP_14, Skeleton, describe_match
from rsn.training.recipe import Recipe, read_recipe
from rsn.training.run import read_training_sets, train

TORCH = ("--backend", "torch")  # takes no time to start
SPELLED = [name.replace("left_", "l").replace("right_", "r") for name in COCO_17.keypoint_names]


def source_of(path: Path) -> dict[str, str]:
    return {"annotations": str(path), "images": str(path.parent / "images")}


def recipe_of(folder: Path, validation: Path, *train_sets: Path, steps: int = 1) -> Recipe:
    document = {
        "output": str(folder / "run"),
        "train": [source_of(path) for path in train_sets],
        "validation": source_of(validation),
        "input_size": [64, 64],
        "optimization": {"steps": steps, "batch_size": 2, "warmup_steps": 0},
        "val_interval": steps,
        "compute": {"workers": 0},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(document))
    return read_recipe(folder / "recipe.yaml")


def with_names(path: Path, names: list[str]) -> Path:
    document = json.loads(path.read_text(encoding="utf-8"))
    document["categories"][0] |= {"keypoints": names, "skeleton": []}
    renamed = path.with_name("renamed.json")
    renamed.write_text(json.dumps(document))
    return renamed


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:60]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("no image"),
    ],
)
def test_train_rejects_unreadable_validation_images_with_the_message_of_data_check(
    tmp_path: Path, damage: Callable[[Path], Any]
) -> None:
    training, validation = write_people(tmp_path / "a", images=2), write_people(tmp_path / "b", images=2)
    damage(tmp_path / "b/images/000000000002.png")
    report = check_dataset(validation, tmp_path / "b/images")
    assert report.issues[UNREADABLE] == [2]
    with pytest.raises(
        AnnotationError, match=f"1 {UNREADABLE.message} .*: image {report.found.describe(UNREADABLE)[0][:1]}"
    ):
        train(recipe_of(tmp_path, validation, training))
    assert not (tmp_path / "run").exists()


def test_evaluate_rejects_unreadable_images_before_predicting(tmp_path: Path, random_weights: Path) -> None:
    pytest.importorskip("hotcoco")
    path = write_people(tmp_path, images=2)
    (tmp_path / "images/000000000002.png").write_text("no image")
    done = rsn("evaluate", random_weights, "--annotations", path, "--images", tmp_path / "images", *TORCH)
    assert done.returncode == 1
    assert f"1 {UNREADABLE.message}" in done.stderr
    assert "image 2 (000000000002.png)" in done.stderr


def test_evaluate_warns_of_images_with_another_size_than_annotated(tmp_path: Path, random_weights: Path) -> None:
    pytest.importorskip("hotcoco")
    path = write_people(tmp_path, images=2)
    document = json.loads(path.read_text())
    document["images"][0]["width"] = 320
    path.write_text(json.dumps(document))
    done = rsn("evaluate", random_weights, "--annotations", path, "--images", tmp_path / "images", *TORCH)
    assert done.returncode == 0, done.stderr
    assert "1 images of another size than the file says" in done.stderr
    assert "image 1 (320 x 120, really 160 x 120)" in done.stderr


def test_training_sets_match_keypoints_by_name_and_list_the_others(tmp_path: Path) -> None:
    coco, lsp = (
        write_people(tmp_path / "coco", images=1),
        write_people(tmp_path / "lsp", images=1, skeleton=LSP_14),
    )
    recipe = recipe_of(tmp_path, coco, with_names(coco, SPELLED), lsp)
    people, (first, second) = read_training_sets(recipe, COCO_17)
    assert [(person.visibility >= 0).sum() for person in people.people] == [17, 17, 12, 12]
    assert first.endswith("2 people; 17 of the 17 keypoints of coco_17 are matched by name")
    assert second.endswith(
        "12 of the 17 keypoints of coco_17 are matched by name; no match for neck, head_top; not annotated, and left"
        " out of the loss: nose, left_eye, right_eye, left_ear, right_ear"
    )


def test_train_prints_the_keypoint_matches_before_the_first_step(tmp_path: Path) -> None:
    pytest.importorskip("hotcoco")
    coco, lsp = (
        write_people(tmp_path / "coco", images=1),
        write_people(tmp_path / "lsp", images=1, skeleton=LSP_14),
    )
    recipe_of(tmp_path, coco, coco, lsp)
    done = rsn("train", tmp_path / "recipe.yaml")
    assert done.returncode == 0, done.stderr
    assert f"{coco}: 2 people; 17 of the 17 keypoints of coco_17 are matched by name\n" in done.stderr
    assert f"{lsp}: 2 people; 12 of the 17 keypoints of coco_17 are matched by name; no match for neck" in done.stderr
    assert done.stderr.index("no match for neck") < done.stderr.index("step 1/1")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "b", "lfin", "rfin"], "4 of the 4 keypoints of fish are matched by name (lfin is left_fin, rfin is"
         " right_fin)"),
        (["a", "tail", "left_fin"], "2 of the 4 keypoints of fish are matched by name; no match for tail;"
         " not annotated, and left out of the loss: b, right_fin"),
    ],
)  # fmt: skip
def test_describe_match_names_respelled_and_missing_keypoints(names: list[str], message: str) -> None:
    fish = Skeleton.from_names("fish", ["a", "b", "left_fin", "right_fin"])
    assert describe_match(Skeleton.from_names("other", names), fish) == message


@pytest.mark.parametrize("names", [["nose", "left_hand", "tail"], ["left_hand", "right_foot", "L_hip"]])
def test_training_sets_warn_of_left_and_right_names_without_counterpart(tmp_path: Path, names: list[str]) -> None:
    skeleton: Skeleton = Skeleton.from_names("odd", names)
    path = write_people(tmp_path, images=1, skeleton=skeleton)
    with pytest.warns(RsnWarning, match="keypoints whose names say left or right, but that have no counterpart"):
        read_training_sets(recipe_of(tmp_path, path, path), skeleton)
