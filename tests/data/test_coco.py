"""COCO-keypoints files: what is read, and what is rejected."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from people_on_disk import write_people
from rsn.data.coco import read_coco
from rsn.errors import AnnotationError, RsnWarning
from rsn.evaluation.coco import evaluate_keypoints
from rsn.skeletons import COCO_17, LSP_14, NOT_ANNOTATED, Skeleton


def test_read_coco_returns_the_annotations_of_the_file(people_json: Path) -> None:
    people = read_coco(people_json, people_json.parent / "images")
    first = json.loads(people_json.read_text(encoding="utf-8"))["annotations"][0]
    assert people.skeleton is COCO_17
    assert len(people) == 8
    assert people.people[0].box.tolist() == first["bbox"]
    np.testing.assert_allclose(people.people[0].keypoints.ravel(), np.delete(first["keypoints"], slice(2, None, 3)))
    assert people.people[0].image.path.is_file()


def test_remap_and_concat_match_keypoints_by_name(people_json: Path, tmp_path: Path) -> None:
    lsp = write_people(tmp_path, skeleton=LSP_14)
    coco = read_coco(people_json, people_json.parent / "images")
    both = coco.concat(read_coco(lsp, tmp_path / "images").remap(COCO_17))
    assert len(both) == 16
    athlete = both.people[-1]
    assert athlete.visibility[COCO_17.keypoint_names.index("nose")] == NOT_ANNOTATED
    assert athlete.visibility[COCO_17.keypoint_names.index("left_knee")] == 2
    with pytest.raises(ValueError, match="remap one"):
        coco.concat(read_coco(lsp, tmp_path / "images"))


def test_filter_valid_counts_skipped_people(people_json: Path) -> None:
    document = json.loads(people_json.read_text(encoding="utf-8"))
    document["annotations"][0]["iscrowd"] = 1
    document["annotations"][1]["keypoints"] = [0] * 51
    document["annotations"][2]["bbox"][3] = 20
    path = people_json.parent / "marked.json"
    path.write_text(json.dumps(document))
    people = read_coco(path, people_json.parent / "images").filter_valid(min_box_height=40)
    assert len(people) == 5
    assert people.skipped == {"crowd": 1, "no keypoint marked": 1, "box lower than 40 px": 1}
    assert "1 crowd" in people.summary()


def changed(people_json: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    document = json.loads(people_json.read_text(encoding="utf-8"))
    change(document)
    (folder / "changed.json").write_text(json.dumps(document))
    return folder / "changed.json"


def test_missing_box_is_derived_from_the_keypoints_with_a_warning(people_json: Path, tmp_path: Path) -> None:
    def no_box(document: dict[str, Any]) -> None:
        del document["annotations"][0]["bbox"]

    with pytest.warns(RsnWarning, match=r"changed\.json: 1 people without a box, who get one around their keypoints"):
        people = read_coco(changed(people_json, tmp_path, no_box), people_json.parent / "images").people
    keypoints, box = people[0].keypoints, people[0].box
    np.testing.assert_allclose(box[2], 1.3 * np.ptp(keypoints[:, 0]), rtol=0.05)  # cut off at the image's edge
    np.testing.assert_allclose(box[3], 1.2 * np.ptp(keypoints[:, 1]), rtol=0.05)
    assert (box[:2] >= 0).all()
    assert (box[:2] + box[2:] <= (160, 120)).all()


def test_evaluation_derives_missing_areas_with_a_warning(people_json: Path, tmp_path: Path) -> None:
    def no_area(document: dict[str, Any]) -> None:
        for entry in document["annotations"]:
            del entry["area"]

    def half_area(document: dict[str, Any]) -> None:
        for entry in document["annotations"]:
            entry["area"] = 0.53 * entry["bbox"][2] * entry["bbox"][3]

    document = json.loads(people_json.read_text(encoding="utf-8"))
    results = [entry | {"score": 1.0, "keypoints": [value + 2 for value in entry["keypoints"]]}
               for entry in document["annotations"]]  # fmt: skip
    given = evaluate_keypoints(changed(people_json, tmp_path, half_area), results, COCO_17)
    with pytest.warns(RsnWarning, match=r"8 people without an area, who get 0\.53 x the area of their box"):
        derived = evaluate_keypoints(changed(people_json, tmp_path, no_area), results, COCO_17)
    assert derived == given
    assert 0 < given.ap < 1


def test_read_coco_uses_a_given_skeleton_if_categories_have_none(people_json: Path, tmp_path: Path) -> None:
    def nameless(document: dict[str, Any]) -> None:
        document["categories"] = [{"id": 7, "name": "person"}]
        for entry in document["annotations"]:
            entry["category_id"] = 7

    path, images = changed(people_json, tmp_path, nameless), people_json.parent / "images"
    with pytest.raises(AnnotationError, match="unless a skeleton file names the keypoints"):
        read_coco(path, images)
    people = read_coco(path, images, COCO_17)
    assert people.skeleton is COCO_17
    assert people.category_id == 7


def test_numbered_keypoints_get_the_names_of_the_given_skeleton(people_json: Path, tmp_path: Path) -> None:
    def numbered(document: dict[str, Any]) -> None:
        document["categories"][0]["keypoints"] = [str(keypoint) for keypoint in range(17)]

    with pytest.warns(RsnWarning, match="are taken for those of coco_17 in their order"):
        people = read_coco(changed(people_json, tmp_path, numbered), people_json.parent / "images", COCO_17)
    assert people.skeleton is COCO_17


def test_given_skeleton_reorders_keypoints(people_json: Path) -> None:
    backwards = Skeleton.from_names("backwards", COCO_17.keypoint_names[::-1])
    people = read_coco(people_json, people_json.parent / "images", backwards)
    as_listed = read_coco(people_json, people_json.parent / "images")
    assert people.skeleton is backwards
    np.testing.assert_array_equal(people.people[3].keypoints, as_listed.people[3].keypoints[::-1])


def test_categories_with_the_same_keypoints_are_read_together(people_json: Path, tmp_path: Path) -> None:
    def categories(document: dict[str, Any]) -> None:
        document["categories"] += [{"id": 2, "name": "bag"}, document["categories"][0] | {"id": 3}]
        document["annotations"][0]["category_id"] = 2
        document["annotations"][1]["category_id"] = 3

    people = read_coco(changed(people_json, tmp_path, categories), people_json.parent / "images")
    assert len(people) == 7
    assert people.skipped == {"of a category without these keypoints": 1}


def test_remap_rejects_skeletons_without_common_keypoint(people_json: Path) -> None:
    people = read_coco(people_json, people_json.parent / "images")
    with pytest.raises(AnnotationError, match=r"coco_17 .* and dog \(paw, tail\) have no keypoint of the same name"):
        people.remap(Skeleton.from_names("dog", ["paw", "tail"]))


def _nan(document: dict[str, Any]) -> None:
    document["annotations"][0]["keypoints"][0] = float("nan")


def _keypoint_count(document: dict[str, Any]) -> None:
    document["annotations"][0]["keypoints"] += [1, 2, 2]


def _image(document: dict[str, Any]) -> None:
    document["annotations"][0]["image_id"] = 99


def _file(document: dict[str, Any]) -> None:
    document["images"][0]["file_name"] = "gone.png"


def _category(document: dict[str, Any]) -> None:
    del document["categories"]


def _box(document: dict[str, Any]) -> None:
    document["annotations"][0]["bbox"] = [1, 2, 3]


def _repeated_annotation(document: dict[str, Any]) -> None:
    document["annotations"][1]["id"] = 1


def _repeated_image(document: dict[str, Any]) -> None:
    document["images"][1]["id"] = 1


def _no_annotations(document: dict[str, Any]) -> None:
    document["annotations"] = []


def _two_skeletons(document: dict[str, Any]) -> None:
    document["categories"].append({"id": 2, "name": "dog", "keypoints": ["nose", "tail"]})


def _all_images(document: dict[str, Any]) -> None:
    for image in document["images"]:
        image["file_name"] = f"gone{image['id']}.png"


def _text(document: dict[str, Any]) -> None:
    document["annotations"][0]["keypoints"] = ["left"] * 51


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_nan, r"1 keypoints that are not x, y, visibility .*: annotation 1 \(a number that is not finite\)"),
        (_keypoint_count, r"1 keypoints that are not x, y, visibility .*annotation 1 \(54 numbers, not 51\)"),
        (_image, r"1 people in images that the file does not list .*annotation 1 \(image 99\)"),
        (_file, "gone.png: named by the annotations"),
        (_category, "not a COCO keypoints file"),
        (_box, "boxes that are not x, y, width, height .*: annotation 1"),
        (_repeated_annotation, "1 repeated annotation ids .*: annotation 1"),
        (_repeated_image, "1 repeated image ids .*: image 1"),
        (_no_annotations, "has no annotations"),
        (_two_skeletons, r"skeletons with different keypoints \(person, dog\)|coco_17, dog"),
        (_all_images, r"gone1\.png: named by.*4 of 4 images are missing"),
        (_text, "1 keypoints that are not x, y, visibility .*: annotation 1"),
    ],
)
def test_read_coco_names_each_error(people_json: Path, tmp_path: Path, damage: Any, says: str) -> None:
    document = json.loads(people_json.read_text(encoding="utf-8"))
    damage(document)
    (tmp_path / "damaged.json").write_text(json.dumps(document))
    with pytest.raises(AnnotationError, match=says):
        read_coco(tmp_path / "damaged.json", people_json.parent / "images")


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"a": 1}'])
def test_read_coco_rejects_other_files(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "other.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(AnnotationError, match=r"other\.json"):
        read_coco(path, tmp_path)


def test_read_coco_names_a_missing_image_folder(people_json: Path) -> None:
    with pytest.raises(AnnotationError, match="no such folder"):
        read_coco(people_json, people_json.parent / "nowhere")


@pytest.mark.parametrize(
    ("file", "images", "people", "keypoints"),
    [
        ("coco/person_keypoints_train2017.json", "coco/train2017", 521, 17),
        ("coco/person_keypoints_train2017_small.json", "coco/train2017_small", 7428, 17),
        ("coco/person_keypoints_val2017.json", "coco/val2017", 438, 17),
        ("lsp_extended/annotations.json", "lsp_extended/images", 9189, 14),
    ],
)
def test_real_datasets_have_the_documented_number_of_people(
    shared_dir: Path, file: str, images: str, people: int, keypoints: int
) -> None:
    data = shared_dir / "data"
    found = read_coco(data / file, data / images).filter_valid()
    assert len(found) == people
    assert len(found.skeleton) == keypoints
