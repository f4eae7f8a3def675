"""Reading COCO-keypoints files: what comes out, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from people_on_disk import write_people
from rsn.datasets.coco import read_coco
from rsn.errors import AnnotationError
from rsn.skeletons import COCO_17, LSP_14, NOT_ANNOTATED


def test_people_come_out_as_they_are_in_the_file(people_json: Path) -> None:
    people = read_coco(people_json, people_json.parent / "images")
    first = json.loads(people_json.read_text())["annotations"][0]
    assert people.skeleton is COCO_17
    assert len(people) == 8
    assert people.people[0].box.tolist() == first["bbox"]
    np.testing.assert_allclose(
        people.people[0].keypoints.ravel(), np.delete(first["keypoints"], slice(2, None, 3))
    )
    assert people.people[0].image.path.is_file()


def test_sets_of_different_bodies_join_by_joint_name(people_json: Path, tmp_path: Path) -> None:
    lsp = write_people(tmp_path, body=LSP_14)
    coco = read_coco(people_json, people_json.parent / "images")
    both = coco.joined(read_coco(lsp, tmp_path / "images").mapped_to(COCO_17))
    assert len(both) == 16
    athlete = both.people[-1]
    assert athlete.visibility[COCO_17.joints.index("nose")] == NOT_ANNOTATED
    assert athlete.visibility[COCO_17.joints.index("left_knee")] == 2
    with pytest.raises(ValueError, match="map one"):
        coco.joined(read_coco(lsp, tmp_path / "images"))


def test_what_is_left_out_is_counted(people_json: Path) -> None:
    document = json.loads(people_json.read_text())
    document["annotations"][0]["iscrowd"] = 1
    document["annotations"][1]["keypoints"] = [0] * 51
    document["annotations"][2]["bbox"][3] = 20
    path = people_json.parent / "marked.json"
    path.write_text(json.dumps(document))
    people = read_coco(path, people_json.parent / "images").with_joints(min_box_height=40)
    assert len(people) == 5
    assert people.left_out == {"crowd": 1, "no joint marked": 1, "box lower than 40 px": 1}
    assert "1 crowd" in people.summary()


def _nan(document: dict[str, Any]) -> None:
    document["annotations"][0]["keypoints"][0] = float("nan")


def _joint_count(document: dict[str, Any]) -> None:
    document["annotations"][0]["keypoints"] += [1, 2, 2]


def _image(document: dict[str, Any]) -> None:
    document["annotations"][0]["image_id"] = 99


def _file(document: dict[str, Any]) -> None:
    document["images"][0]["file_name"] = "gone.png"


def _category(document: dict[str, Any]) -> None:
    del document["categories"]


def _box(document: dict[str, Any]) -> None:
    del document["annotations"][0]["bbox"]


def _text(document: dict[str, Any]) -> None:
    document["annotations"][0]["keypoints"] = ["left"] * 51


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_nan, "annotation 1 has a number that is not finite"),
        (_joint_count, "annotation 1 has 54 joint numbers; coco_17 needs 17 x 3"),
        (_image, "annotation 1 is of image 99"),
        (_file, "gone.png: named by the annotations"),
        (_category, "not a COCO keypoints file"),
        (_box, "annotation 1 has no box"),
        (_text, "annotation 1 has no box, or joints that are not numbers"),
    ],
)
def test_damage_is_named(people_json: Path, tmp_path: Path, damage: Any, says: str) -> None:
    document = json.loads(people_json.read_text())
    damage(document)
    (tmp_path / "damaged.json").write_text(json.dumps(document))
    with pytest.raises(AnnotationError, match=says):
        read_coco(tmp_path / "damaged.json", people_json.parent / "images")


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"a": 1}'])
def test_files_that_are_no_annotations(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "odd.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(AnnotationError, match=r"odd\.json"):
        read_coco(path, tmp_path)


def test_a_missing_image_folder_is_named(people_json: Path) -> None:
    with pytest.raises(AnnotationError, match="no such folder"):
        read_coco(people_json, people_json.parent / "pictures")


@pytest.mark.parametrize(
    ("file", "images", "people", "joints"),
    [
        ("coco/person_keypoints_train2017.json", "coco/train2017", 521, 17),
        ("coco/person_keypoints_train2017_small.json", "coco/train2017_small", 7428, 17),
        ("coco/person_keypoints_val2017.json", "coco/val2017", 438, 17),
        ("lsp_extended/annotations.json", "lsp_extended/images", 10000, 14),
    ],
)
def test_the_real_sets_have_as_many_people_as_their_readme_says(
    shared_dir: Path, file: str, images: str, people: int, joints: int
) -> None:
    data = shared_dir / "data"
    found = read_coco(data / file, data / images).with_joints()
    assert len(found) == people
    assert len(found.skeleton) == joints
