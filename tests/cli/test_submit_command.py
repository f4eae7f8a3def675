"""rsn submit: the zip for COCO test-dev and its check."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import torch

from command import rsn
from rsn import create_model
from rsn.errors import AnnotationError
from rsn.evaluation.coco_submission import check_testdev, write_testdev
from rsn.skeletons import MPII_16
from rsn.weights.loading import save_weights
from rsn.weights.metadata import ModelMetadata

NAME = "person_keypoints_test-dev2017_my-rsn_results"
PERSON = {"image_id": 7, "category_id": 1, "keypoints": [1.5] * 51, "score": 0.5}


@pytest.fixture
def testdev(people_json: Path, tmp_path: Path) -> list[object]:
    """Four images without annotations, and boxes in three of them."""
    document = json.loads(people_json.read_text(encoding="utf-8"))
    boxes = [
        {field: person[field] for field in ("image_id", "category_id", "bbox")} | {"score": 0.5}
        for person in document["annotations"][:6]
    ]
    info = {"images": document["images"], "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    (tmp_path / "image_info.json").write_text(json.dumps(info))
    images = people_json.parent / "images"
    return [
        "--annotations", tmp_path / "image_info.json", "--images", images, "--boxes", tmp_path / "boxes.json"
    ]  # fmt: skip


def test_submit_writes_zip_for_server(testdev: list[object], random_weights: Path, tmp_path: Path) -> None:
    options = ["--algorithm", "my-rsn", "--output", tmp_path / "out"]
    done = rsn("submit", "coco-testdev", random_weights, *testdev, *options)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"{NAME}.zip"]
    with ZipFile(tmp_path / "out" / f"{NAME}.zip") as archive:
        assert archive.namelist() == [f"{NAME}.json"]
        entries = json.loads(archive.read(f"{NAME}.json"))
    assert all(set(entry) == {"image_id", "category_id", "keypoints", "score"} for entry in entries)
    assert all(len(entry["keypoints"]) == 51 for entry in entries)
    assert [entry["image_id"] for entry in entries] == [1, 1, 2, 2, 3, 3]
    assert "is valid: 6 people in 3 images" in done.stderr
    checked = rsn("submit", "check", tmp_path / "out" / f"{NAME}.zip", *testdev[:2])
    assert checked.returncode == 0, checked.stderr
    assert "6 people in 3 images" in checked.stderr


def test_other_zip_name_is_written_with_notice(testdev: list[object], random_weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.zip"
    done = rsn("submit", "coco-testdev", random_weights, *testdev, "--output", out)
    assert done.returncode == 0, done.stderr
    assert check_testdev(out).people == 6
    assert "expects the name person_keypoints_test-dev2017_rsn_results.zip" in done.stderr


def _of_another_skeleton(folder: Path) -> Path:
    torch.manual_seed(0)
    metadata = ModelMetadata("res18", skeleton=MPII_16, input_size=(64, 64))
    save_weights(folder / "mpii.safetensors", create_model("res18", num_keypoints=16), metadata, half=True)
    return folder / "mpii.safetensors"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--algorithm", "my rsn"], "letters, digits and dashes"),
        (["--output", "/proc/none/out.zip"], "cannot make the folder"),
    ],
)
def test_submit_rejects_invalid_options(
    testdev: list[object], random_weights: Path, tmp_path: Path, options: list[str], says: str
) -> None:
    done = rsn("submit", "coco-testdev", random_weights, *testdev, *options, cwd=tmp_path)
    assert done.returncode == 1
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_submit_rejects_model_of_another_skeleton(testdev: list[object], tmp_path: Path) -> None:
    done = rsn("submit", "coco-testdev", _of_another_skeleton(tmp_path), *testdev, cwd=tmp_path)
    assert done.returncode == 1
    assert "the model predicts the 16 keypoints of mpii_16" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("results", "says"),
    [
        ([PERSON | {"image_id": 8}], "entry 0: image 8 is not"),
        ([PERSON | {"image_id": "7"}], "entry 0: image '7' is not"),
        ([PERSON, PERSON], "image 7 contains the same keypoints 2 times"),
        ([PERSON | {"keypoints": [1.5] * 48}], "expected 51 keypoint numbers"),
        ([PERSON | {"keypoints": [None] * 51}], "not finite"),
        ([PERSON | {"score": float("nan")}], "not finite"),
        ([PERSON | {"category_id": 2}], "expected category 1 .person., got 2"),
    ],
)
def test_check_rejects_invalid_entries(tmp_path: Path, results: list[dict[str, Any]], says: str) -> None:
    write_testdev(results, tmp_path / "out.zip", algorithm="rsn")
    with pytest.raises(AnnotationError, match=says):
        check_testdev(tmp_path / "out.zip", {7})


def _cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(data)


def _of_a_later_version(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 6] = 99
    path.write_bytes(data)


def _two_files(path: Path) -> None:
    with ZipFile(path, "a") as archive:
        archive.writestr("readme.txt", "hello")


def _with_more_fields(path: Path) -> None:
    with ZipFile(path, "w") as archive:
        archive.writestr(f"{NAME}.json", json.dumps([PERSON | {"box": [1, 2, 3, 4]}]))


def _not_a_list(path: Path) -> None:
    with ZipFile(path, "w") as archive:
        archive.writestr(f"{NAME}.json", "{}")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_cut_off, "not a valid zip"),
        (_damaged, "not a valid zip"),
        (_of_a_later_version, "not a valid zip"),
        (_two_files, "expected only person_keypoints"),
        (_with_more_fields, "entry 0: expected the fields"),
        (_not_a_list, "not a list of results"),
        (Path.unlink, "No such file"),
    ],
)
def test_check_rejects_damaged_zip(tmp_path: Path, damage: Callable[[Path], None], says: str) -> None:
    path = tmp_path / f"{NAME}.zip"
    write_testdev([PERSON], path, algorithm="my-rsn")
    assert check_testdev(path, {7}).images == 1
    damage(path)
    with pytest.raises(AnnotationError, match=says):
        check_testdev(path)
