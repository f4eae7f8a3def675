"""rsn data check's findings: each mistake is made in a drawn set, and found by the ids that it was made in."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from people_on_disk import write_people
from rsn.datasets import findings as kinds
from rsn.datasets.checks import check_dataset
from rsn.datasets.findings import Kind, Report
from rsn.datasets.mirrored import suspected_names, suspected_people, turned_to_camera
from rsn.errors import AnnotationError
from rsn.skeletons import COCO_17, LSP_14, Skeleton, from_joint_names

Change = Callable[[dict[str, Any]], None]


def check(folder: Path, change: Change | None = None, *, sample: int | None = None) -> Report:
    path = write_people(folder)
    document = json.loads(path.read_text())
    if change:
        change(document)
    path.write_text(json.dumps(document))
    return check_dataset(path, folder / "images", sample=sample)


def person(number: int, **fields: Any) -> Change:
    return lambda document: document["annotations"][number].update(fields)


def joint(number: int, place: int, *values: Any) -> Change:
    def change(document: dict[str, Any]) -> None:
        document["annotations"][number]["keypoints"][3 * place : 3 * place + 3] = values

    return change


def without(field: str) -> Change:
    return lambda document: document["annotations"][2].pop(field)


def twice(document: dict[str, Any]) -> None:
    document["annotations"].append(document["annotations"][2] | {"id": 99})


def nobody(document: dict[str, Any]) -> None:
    document["annotations"] = []


def image(number: int, **fields: Any) -> Change:
    return lambda document: document["images"][number].update(fields)


def lonely_image(document: dict[str, Any]) -> None:
    document["images"].append(document["images"][0] | {"id": 50})


def exchanged(keypoints: Any, body: Skeleton, pairs: Any) -> Any:
    order = list(range(len(body)))
    for left, right in pairs:
        order[left], order[right] = right, left
    return np.asarray(keypoints)[:, order]


def legs_exchanged(document: dict[str, Any]) -> None:
    entry = document["annotations"][2]
    joints = np.reshape(entry["keypoints"], (1, 17, 3))
    entry["keypoints"] = exchanged(joints, COCO_17, [(11, 12), (13, 14), (15, 16)]).flatten().tolist()


def test_a_sound_set_has_no_findings(tmp_path: Path) -> None:
    report = check(tmp_path)
    assert report.findings == {}
    assert report.errors == 0
    assert report.joints()["nose"] == (8, 0, 0)
    assert report.joints_a_person() == {17: 8}
    assert report.box_heights().min() >= 95


@pytest.mark.parametrize(
    ("change", "kind", "ids"),
    [
        (joint(2, 0, 300, 10, 2), kinds.JOINT_OUTSIDE, [3]),
        (joint(2, 0, 300, 10, 1), kinds.OCCLUDED_OUTSIDE, [3]),
        (joint(2, 0, 160.5, 10, 2), None, []),
        (joint(2, 0, 30, 10, 3), kinds.BAD_VISIBILITY, [3]),
        (joint(2, 0, 30, float("nan"), 2), kinds.BAD_JOINTS, [3]),
        (person(2, keypoints=[1, 2, 2]), kinds.BAD_JOINTS, [3]),
        (person(2, keypoints="none"), kinds.BAD_JOINTS, [3]),
        (person(2, bbox=[1, 2, 3]), kinds.BAD_BOX, [3]),
        (person(2, bbox=["a", 2, 3, 4]), kinds.BAD_BOX, [3]),
        (person(2, bbox=[5, 8, 0, 90]), kinds.EMPTY_BOX, [3]),
        (person(2, bbox=[400, 8, 60, 90]), kinds.BOX_OUTSIDE, [3]),
        (person(2, bbox=[-9, 8, 80, 100]), kinds.BOX_BEYOND, [3]),
        (person(2, bbox=[100, 8, 50, 100]), kinds.FAR_FROM_BOX, [3]),
        (person(2, num_keypoints=3), kinds.OTHER_COUNT, [3]),
        (person(2, id=2), kinds.ANNOTATION_TWICE, [2]),
        (person(2, id=None), kinds.NO_ID, ["number 2"]),
        (person(2, image_id=77), kinds.NO_IMAGE, [3]),
        (person(2, image_id=[1]), kinds.NO_IMAGE, [3]),
        (person(2, category_id=5), kinds.UNLISTED_CATEGORY, [3]),
        (person(2, iscrowd=1), kinds.CROWD, [3]),
        (person(2, keypoints=[0] * 51, num_keypoints=0), kinds.NO_JOINTS, [3]),
        (without("bbox"), kinds.NO_BOX, [3]),
        (without("area"), kinds.NO_AREA, [3]),
        (twice, kinds.SAME_PERSON, [99]),
        (legs_exchanged, kinds.MIRRORED, [3]),
        (nobody, kinds.NOBODY, ["nobody"]),
        (image(1, id=1), kinds.IMAGE_TWICE, [1]),
        (image(1, file_name=None), kinds.BAD_IMAGE, [2]),
        (image(1, width=320), kinds.OTHER_SIZE, [2]),
        (image(1, file_name="gone.png"), kinds.ABSENT, [2]),
        (lonely_image, kinds.NO_PEOPLE, [50]),
        (lonely_image, kinds.SAME_PICTURE, [50]),
    ],
)
def test_a_mistake_is_found_where_it_is(
    tmp_path: Path, change: Change, kind: Kind | None, ids: list[int | str]
) -> None:
    report = check(tmp_path, change)
    if kind is None:
        assert report.findings == {}
        return
    assert report.findings[kind] == ids
    assert bool(report.errors) == any(found.level == "error" for found in report.findings)
    assert kind.says in report.table()
    assert kind.says in [finding["what"] for finding in json.loads(json.dumps(report.as_dict()))["findings"]]


def test_pictures_are_opened(tmp_path: Path) -> None:
    write_people(tmp_path)
    pictures = sorted((tmp_path / "images").iterdir())
    contents = pictures[0].read_bytes()
    pictures[1].write_bytes(contents[:60])
    pictures[2].write_text("not a picture")
    cv2.imwrite(
        str(pictures[3]), cv2.imread(str(pictures[0])), (cv2.IMWRITE_PNG_COMPRESSION, 0)
    )  # other bytes
    report = check_dataset(tmp_path / "people.json", tmp_path / "images")
    assert report.findings[kinds.UNREADABLE] == [2, 3]
    assert report.findings[kinds.SAME_PICTURE] == [4]
    assert report.about(kinds.SAME_PICTURE) == ["4 (as 1)"]
    assert report.errors == 2


def test_a_sample_is_said_to_be_one(tmp_path: Path) -> None:
    assert len(check(tmp_path, sample=1).findings[kinds.NOT_OPENED]) == 3
    assert kinds.NOT_OPENED not in check(tmp_path, sample=4).findings


def test_what_cannot_be_looked_at_at_all(tmp_path: Path) -> None:
    path = write_people(tmp_path)
    with pytest.raises(AnnotationError, match="no such folder of images"):
        check_dataset(path, tmp_path / "gone")
    path.write_text("[]")
    with pytest.raises(AnnotationError, match="not a COCO keypoints file"):
        check_dataset(path, tmp_path / "images")


def test_who_faces_the_camera_is_told_upside_down_too() -> None:
    joints = np.array([[[60, 20], [40, 20], [58, 60], [42, 60]]], float)  # shoulders, hips
    body = from_joint_names("trunk", ["left_shoulder", "right_shoulder", "left_hip", "right_hip"])
    marked = np.ones((1, 4))
    for turned in (joints, 100 - joints, joints[..., ::-1] * [1, -1]):  # half a turn, a quarter
        np.testing.assert_allclose(turned_to_camera(body, turned, marked), [[0.5, 0.4]])
        np.testing.assert_allclose(
            turned_to_camera(body, exchanged(turned, body, body.pairs), marked), [[-0.5, -0.4]]
        )
    assert not suspected_people(body, joints, marked).any()
    assert suspected_people(body, exchanged(joints, body, [(2, 3)]), marked).all()
    assert np.isnan(turned_to_camera(body, joints, np.array([[1, 1, 1, 0]]))).all()


def test_a_body_without_a_trunk_is_not_judged() -> None:
    dog = from_joint_names("dog", ["left_paw", "right_paw"])
    assert not suspected_people(dog, np.zeros((2, 2, 2)), np.ones((2, 2))).any()
    assert suspected_names(dog, np.zeros((30, 2, 2)), np.ones((30, 2))) == []


@pytest.mark.parametrize(
    ("body", "file"),
    [(COCO_17, "coco/person_keypoints_train2017_small.json"), (LSP_14, "lsp_extended/annotations.json")],
)
def test_real_people(shared_dir: Path, body: Skeleton, file: str) -> None:
    entries = json.loads((shared_dir / "data" / file).read_text())["annotations"]
    joints = np.reshape(
        [entry["keypoints"] for entry in entries if any(entry.get("keypoints", ()))], (-1, len(body), 3)
    )
    points, visibility = joints[..., :2], joints[..., 2]
    assert suspected_names(body, points, visibility) == []
    suspected = suspected_people(body, points, visibility)
    assert suspected.mean() < 0.035  # 67 of 7,428; 325 of LSP's 10,000 athletes
    trunk = [
        body.joints.index(f"{side}_{part}") for side in ("left", "right") for part in ("hip", "shoulder")
    ]
    judged = (visibility[:, trunk] > 0).all(1)
    legs = [pair for pair in body.pairs if body.joints[pair[0]].endswith(("hip", "knee", "ankle"))]
    caught = suspected_people(body, exchanged(points, body, legs), exchanged(visibility, body, legs))
    assert caught[judged].mean() > 0.85  # 0.92; 0.88
    (sentence,) = suspected_names(
        body, exchanged(points, body, legs[-1:]), exchanged(visibility, body, legs[-1:])
    )
    left, right = (body.joints[joint] for joint in legs[-1])
    assert f"{left} and {right} look swapped" in sentence
    everything = exchanged(points, body, body.pairs), exchanged(visibility, body, body.pairs)
    sentences = suspected_names(body, *everything)
    assert bool(sentences) == (body is COCO_17)  # only a face tells
    if body is COCO_17:
        assert "the viewer's" in sentences[0]
        face = judged & (visibility[:, :3] == 2).all(1)
        assert suspected_people(body, *everything)[face].mean() > 0.93  # 2,491 of 2,624
