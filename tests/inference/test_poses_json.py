"""Image ids and file names in poses.json."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from command import WHOLE, rsn
from rsn.inference.images import to_coco_results
from rsn.io.images import find_images
from rsn.results import Person, PoseResult
from rsn.skeletons import COCO_17

PERSON = Person(np.array([0, 0, 9, 9]), np.zeros((17, 2)), np.ones(17), 1.0)
RESULT = PoseResult((PERSON, PERSON), COCO_17, (9, 9))


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["000139.jpg", "7.jpg"], [139, 7]),
        (["cam0/000001.jpg", "cam1/000001.jpg"], [1, 2]),
        (["cam0/1.jpg", "cam0/01.jpg", "cam0/2.jpg"], [1, 2, 3]),
        (["a.jpg", "7.jpg"], [1, 2]),
        (["5.jpg", "5.png"], [1, 2]),
    ],
)
def test_image_ids_are_unique(names: list[str], ids: list[int]) -> None:
    entries = to_coco_results([(Path(name), RESULT) for name in names])
    assert [entry["image_id"] for entry in entries] == [number for number in ids for _ in range(2)]
    assert [entry["file_name"] for entry in entries[::2]] == names


def test_find_images_lists_each_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    named = [Path("b.jpg"), tmp_path, Path("./b.jpg"), tmp_path / "a.jpg"]
    assert find_images(named) == [Path("b.jpg"), tmp_path / "a.jpg"]


def test_predict_numbers_images_with_the_same_name(tmp_path: Path, image: Path, random_weights: Path) -> None:
    for folder in ("cam0", "cam1"):
        (tmp_path / folder).mkdir()
        shutil.copy(image, tmp_path / folder / "000001.png")
    options = ("--model", random_weights, "--backend", "torch", "--output", tmp_path / "out")
    done = rsn("predict", tmp_path / "cam0", tmp_path / "cam1", *WHOLE, *options)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "000001_poses.jpg", "000001_poses_2.jpg", "poses.json",
    }  # fmt: skip
