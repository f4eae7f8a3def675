"""`check_dataset` finds every type of issue, with the ids that it belongs to."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from people_on_disk import write_people
from rsn.data import issues as kinds
from rsn.data.checks import check_dataset
from rsn.data.issues import IssueType, Report
from rsn.data.left_right import facing_scores, find_swapped_names, find_swapped_people
from rsn.errors import AnnotationError
from rsn.skeletons import COCO_17, LSP_14, Skeleton

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


def keypoint(number: int, index: int, *values: Any) -> Change:
    def change(document: dict[str, Any]) -> None:
        document["annotations"][number]["keypoints"][3 * index : 3 * index + 3] = values

    return change


def without(field: str) -> Change:
    return lambda document: document["annotations"][2].pop(field)


def duplicated(document: dict[str, Any]) -> None:
    document["annotations"].append(document["annotations"][2] | {"id": 99})


def no_annotations(document: dict[str, Any]) -> None:
    document["annotations"] = []


def image(number: int, **fields: Any) -> Change:
    return lambda document: document["images"][number].update(fields)


def image_without_people(document: dict[str, Any]) -> None:
    document["images"].append(document["images"][0] | {"id": 50})


def exchanged(keypoints: Any, skeleton: Skeleton, pairs: Any) -> Any:
    order = list(range(len(skeleton)))
    for left, right in pairs:
        order[left], order[right] = right, left
    return np.asarray(keypoints)[:, order]


def legs_exchanged(document: dict[str, Any]) -> None:
    entry = document["annotations"][2]
    keypoints = np.reshape(entry["keypoints"], (1, 17, 3))
    entry["keypoints"] = exchanged(keypoints, COCO_17, [(11, 12), (13, 14), (15, 16)]).flatten().tolist()


def test_check_dataset_finds_no_issues_in_a_valid_dataset(tmp_path: Path) -> None:
    report = check(tmp_path)
    assert report.issues == {}
    assert report.errors == 0
    assert report.keypoints()["nose"] == (8, 0, 0, 0)
    assert report.keypoints_per_person() == {17: 8}
    assert report.box_heights().min() >= 95


@pytest.mark.parametrize(
    ("change", "kind", "ids"),
    [
        (keypoint(2, 0, 300, 10, 2), kinds.KEYPOINT_OUTSIDE, [3]),
        (keypoint(2, 0, 300, 10, 1), kinds.OCCLUDED_OUTSIDE, [3]),
        (keypoint(2, 0, 160.5, 10, 2), None, []),
        (keypoint(2, 0, 30, 10, 3), kinds.INVALID_VISIBILITY, [3]),
        (keypoint(2, 0, 30, float("nan"), 2), kinds.INVALID_KEYPOINTS, [3]),
        (person(2, keypoints=[1, 2, 2]), kinds.INVALID_KEYPOINTS, [3]),
        (person(2, keypoints="none"), kinds.INVALID_KEYPOINTS, [3]),
        (person(2, bbox=[1, 2, 3]), kinds.INVALID_BOX, [3]),
        (person(2, bbox=["a", 2, 3, 4]), kinds.INVALID_BOX, [3]),
        (person(2, bbox=[5, 8, 0, 90]), kinds.EMPTY_BOX, [3]),
        (person(2, bbox=[400, 8, 60, 90]), kinds.BOX_OUTSIDE, [3]),
        (person(2, bbox=[-9, 8, 80, 100]), kinds.BOX_EXCEEDS_IMAGE, [3]),
        (person(2, bbox=[100, 8, 50, 100]), kinds.KEYPOINT_FAR_FROM_BOX, [3]),
        (person(2, num_keypoints=3), kinds.KEYPOINT_COUNT_MISMATCH, [3]),
        (person(2, id=2), kinds.DUPLICATE_ANNOTATION_ID, [2]),
        (person(2, id=None), kinds.NO_ID, ["number 2"]),
        (person(2, image_id=77), kinds.UNLISTED_IMAGE, [3]),
        (person(2, image_id=[1]), kinds.UNLISTED_IMAGE, [3]),
        (person(2, category_id=5), kinds.UNLISTED_CATEGORY, [3]),
        (person(2, iscrowd=1), kinds.CROWD, [3]),
        (person(2, keypoints=[0] * 51, num_keypoints=0), kinds.NO_KEYPOINTS, [3]),
        (without("bbox"), kinds.NO_BOX, [3]),
        (without("area"), kinds.NO_AREA, [3]),
        (duplicated, kinds.DUPLICATE_PERSON, [99]),
        (legs_exchanged, kinds.LEFT_RIGHT_CONFLICT, [3]),
        (no_annotations, kinds.NO_ANNOTATIONS, ["no person"]),
        (image(1, id=1), kinds.DUPLICATE_IMAGE_ID, [1]),
        (image(1, file_name=None), kinds.INVALID_IMAGE_ENTRY, [2]),
        (image(1, width=320), kinds.SIZE_MISMATCH, [2]),
        (image(1, file_name="gone.png"), kinds.MISSING_IMAGE, [2]),
        (image_without_people, kinds.NO_PEOPLE, [50]),
        (image_without_people, kinds.DUPLICATE_IMAGE, [50]),
    ],
)
def test_check_dataset_lists_the_ids_of_each_issue(
    tmp_path: Path, change: Change, kind: IssueType | None, ids: list[int | str]
) -> None:
    report = check(tmp_path, change)
    if kind is None:
        assert report.issues == {}
        return
    assert report.issues[kind] == ids
    assert bool(report.errors) == any(found.level == "error" for found in report.issues)
    assert kind.message in report.table()
    assert kind.message in [issue["message"] for issue in json.loads(json.dumps(report.to_dict()))["issues"]]


def test_check_dataset_finds_unreadable_and_duplicate_images(tmp_path: Path) -> None:
    write_people(tmp_path)
    images = sorted((tmp_path / "images").iterdir())
    contents = images[0].read_bytes()
    images[1].write_bytes(contents[:60])
    images[2].write_text("not an image")
    cv2.imwrite(str(images[3]), cv2.imread(str(images[0])), (cv2.IMWRITE_PNG_COMPRESSION, 0))  # other bytes
    report = check_dataset(tmp_path / "people.json", tmp_path / "images")
    assert report.issues[kinds.UNREADABLE] == [2, 3]
    assert report.issues[kinds.DUPLICATE_IMAGE] == [4]
    assert report.found.describe(kinds.DUPLICATE_IMAGE) == ["4 (as 1)"]
    assert report.errors == 2


def test_check_dataset_reports_images_that_the_sample_left_out(tmp_path: Path) -> None:
    assert len(check(tmp_path, sample=1).issues[kinds.NOT_OPENED]) == 3
    assert kinds.NOT_OPENED not in check(tmp_path, sample=4).issues


def test_check_dataset_rejects_missing_folders_and_other_json(tmp_path: Path) -> None:
    path = write_people(tmp_path)
    with pytest.raises(AnnotationError, match="no such folder of images"):
        check_dataset(path, tmp_path / "gone")
    path.write_text("[]")
    with pytest.raises(AnnotationError, match="not a COCO keypoints file"):
        check_dataset(path, tmp_path / "images")


def test_facing_scores_do_not_depend_on_the_orientation_of_the_person() -> None:
    keypoints = np.array([[[60, 20], [40, 20], [58, 60], [42, 60]]], float)  # shoulders, hips
    skeleton = Skeleton.from_names("trunk", ["left_shoulder", "right_shoulder", "left_hip", "right_hip"])
    marked = np.ones((1, 4))
    for turned in (keypoints, 100 - keypoints, keypoints[..., ::-1] * [1, -1]):  # half a turn, a quarter
        np.testing.assert_allclose(facing_scores(skeleton, turned, marked), [[0.5, 0.4]])
        np.testing.assert_allclose(
            facing_scores(skeleton, exchanged(turned, skeleton, skeleton.flip_pairs), marked), [[-0.5, -0.4]]
        )
    assert not find_swapped_people(skeleton, keypoints, marked).any()
    assert find_swapped_people(skeleton, exchanged(keypoints, skeleton, [(2, 3)]), marked).all()
    assert np.isnan(facing_scores(skeleton, keypoints, np.array([[1, 1, 1, 0]]))).all()


def test_skeletons_without_trunk_are_never_suspected() -> None:
    dog = Skeleton.from_names("dog", ["left_paw", "right_paw"])
    assert not find_swapped_people(dog, np.zeros((2, 2, 2)), np.ones((2, 2))).any()
    assert find_swapped_names(dog, np.zeros((30, 2, 2)), np.ones((30, 2))) == []


@pytest.mark.parametrize(
    ("skeleton", "file"),
    [(COCO_17, "coco/person_keypoints_train2017_small.json"), (LSP_14, "lsp_extended/annotations.json")],
)
def test_swaps_are_found_in_real_datasets(shared_dir: Path, skeleton: Skeleton, file: str) -> None:
    entries = json.loads((shared_dir / "data" / file).read_text())["annotations"]
    keypoints = np.reshape(
        [entry["keypoints"] for entry in entries if any(entry.get("keypoints", ()))], (-1, len(skeleton), 3)
    )
    points, visibility = keypoints[..., :2], keypoints[..., 2]
    assert find_swapped_names(skeleton, points, visibility) == []
    suspected = find_swapped_people(skeleton, points, visibility)
    assert suspected.mean() < 0.035  # 67 of 7,428; 325 of LSP's 10,000 athletes
    trunk = [
        skeleton.keypoint_names.index(f"{side}_{part}") for side in ("left", "right") for part in ("hip", "shoulder")
    ]
    judged = (visibility[:, trunk] > 0).all(1)
    legs = [pair for pair in skeleton.flip_pairs if skeleton.keypoint_names[pair[0]].endswith(("hip", "knee", "ankle"))]
    caught = find_swapped_people(skeleton, exchanged(points, skeleton, legs), exchanged(visibility, skeleton, legs))
    assert caught[judged].mean() > 0.85  # 0.92; 0.88
    (sentence,) = find_swapped_names(
        skeleton, exchanged(points, skeleton, legs[-1:]), exchanged(visibility, skeleton, legs[-1:])
    )
    left, right = (skeleton.keypoint_names[keypoint] for keypoint in legs[-1])
    assert f"{left} and {right} look swapped" in sentence
    everything = (
        exchanged(points, skeleton, skeleton.flip_pairs),
        exchanged(visibility, skeleton, skeleton.flip_pairs),
    )
    sentences = find_swapped_names(skeleton, *everything)
    assert bool(sentences) == (skeleton is COCO_17)  # LSP has no face
    if skeleton is COCO_17:
        assert "the viewer's" in sentences[0]
        face = judged & (visibility[:, :3] == 2).all(1)
        assert find_swapped_people(skeleton, *everything)[face].mean() > 0.93  # 2,491 of 2,624
