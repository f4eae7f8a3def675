"""Variations of COCO files have the same meaning for training, evaluation and `rsn data check`."""

import json
import unicodedata
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from people_on_disk import write_people
from rsn.data import issues as kinds
from rsn.data.checks import check_dataset
from rsn.data.coco import read_coco
from rsn.data.issues import IssueType
from rsn.data.values import is_crowd
from rsn.errors import AnnotationError, RsnWarning
from rsn.evaluation.coco import evaluate_keypoints
from rsn.skeletons import COCO_17, Skeleton

pytest.importorskip("hotcoco")

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images with two people each; people.json beside them."""
    return write_people(tmp_path_factory.mktemp("set"), images=2).parent


@pytest.fixture
def document(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "people.json").read_text())


def found_nearly(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Results that are a pixel off, in the order of COCO's keypoints."""
    return [
        {
            "image_id": person["image_id"],
            "category_id": 1,
            "score": 0.9,
            "keypoints": [value + (index % 3 == 0) for index, value in enumerate(person["keypoints"])],
        }
        for person in document["annotations"]
    ]


def each_annotation(change: Change) -> Change:
    def gather(document: dict[str, Any]) -> None:
        for person in document["annotations"]:
            change(person)

    return gather


def each_image(change: Change) -> Change:
    def gather(document: dict[str, Any]) -> None:
        for image in document["images"]:
            change(image)

    return gather


def two_species(document: dict[str, Any]) -> None:
    document["categories"].append(document["categories"][0] | {"id": 9, "name": "ape"})
    document["annotations"][1]["category_id"] = 9.0
    document["annotations"][2]["category_id"] = "9"


def another_order(document: dict[str, Any]) -> None:
    order = [*range(9, 17), *range(9)]
    category = document["categories"][0]
    category |= {"keypoints": [category["keypoints"][index] for index in order], "skeleton": []}
    for person in document["annotations"]:
        triples = np.reshape(person["keypoints"], (-1, 3))
        person["keypoints"] = triples[order].ravel().tolist()


def an_order_for_each_category(document: dict[str, Any]) -> None:
    category = document["categories"][0]
    document["categories"].append(category | {"id": 2, "keypoints": category["keypoints"][::-1], "skeleton": []})
    for person in document["annotations"][::2]:
        triples = np.reshape(person["keypoints"], (-1, 3))
        person |= {"category_id": 2, "keypoints": triples[::-1].ravel().tolist()}


def untracked(document: dict[str, Any]) -> None:
    """People without keypoints, as CVAT exports them from tracks."""
    first = document["annotations"][0]
    for number, empty in enumerate(({"keypoints": []}, {"keypoints": None}, {"keypoints": [0] * 51}, {})):
        document["annotations"].append(
            {
                "id": 900 + number,
                "image_id": first["image_id"],
                "category_id": 1,
                "bbox": [0, 0, 0, 0],
                "area": 0,
            }
            | {"iscrowd": 0, "num_keypoints": 0, "segmentation": []}
            | empty
        )


SAME_MEANING: dict[str, Change] = {
    "annotation ids as text": each_annotation(lambda person: person.update(id=f"ann-{person['id']}")),
    "annotations without id": each_annotation(lambda person: person.pop("id")),
    "image ids as text in annotations": each_annotation(lambda one: one.update(image_id=str(one["image_id"]))),
    "image ids as text in images": each_image(lambda image: image.update(id=str(image["id"]))),
    "padded image ids": each_annotation(lambda one: one.update(image_id=f"{one['image_id']:06}")),
    "image ids as floats": each_annotation(lambda one: one.update(image_id=float(one["image_id"]))),
    "file stems for ids": each_annotation(lambda one: one.update(image_id=f"{one['image_id']:012}")),
    "file names for ids": each_annotation(lambda one: one.update(image_id=f"{one['image_id']:012}.png")),
    "category ids as text": lambda document: document["categories"][0].update(id="1"),
    "category ids as floats": lambda document: document["categories"][0].update(id=1.0),
    "no category": each_annotation(lambda person: person.pop("category_id")),
    "unnamed category": lambda document: document["categories"][0].pop("name"),
    "category named null": lambda document: document["categories"][0].update(name=None),
    "categories with one skeleton": two_species,
    "keypoints in another order": another_order,
    "keypoints in an order for each category": an_order_for_each_category,
    "keypoints as triples": each_annotation(
        lambda one: one.update(keypoints=np.reshape(one["keypoints"], (-1, 3)).tolist())
    ),
    "keypoints as text": each_annotation(
        lambda one: one.update(keypoints=[str(value) for value in one["keypoints"]])
    ),
    "boxes as text": each_annotation(lambda one: one.update(bbox=[f" {value} " for value in one["bbox"]])),
    "areas as text": each_annotation(lambda one: one.update(area=str(one["area"]))),
    "boxes as two points": each_annotation(lambda one: one.update(bbox=[one["bbox"][:2], one["bbox"][2:]])),
    "iscrowd as text": each_annotation(lambda person: person.update(iscrowd="0")),
    "iscrowd as a word": each_annotation(lambda person: person.update(iscrowd="False")),
    "iscrowd as null": each_annotation(lambda person: person.update(iscrowd=None)),
    "no iscrowd": each_annotation(lambda person: person.pop("iscrowd")),
    "no num_keypoints": each_annotation(lambda person: person.pop("num_keypoints")),
    "num_keypoints of 0": each_annotation(lambda person: person.update(num_keypoints=0)),
    "num_keypoints of all": each_annotation(lambda person: person.update(num_keypoints="51")),
    "skeleton counted from 0": lambda document: document["categories"][0].update(skeleton=[[0, 1], [15, 16]]),
    "skeleton of nonsense": lambda document: document["categories"][0].update(skeleton=[[40, 1], "x"]),
    "null sizes": each_image(lambda image: image.update(width=None, height=None)),
    "people without keypoints": untracked,
    "spelled otherwise": lambda document: document["categories"][0].update(
        keypoints=[name.replace("left_", "L ").replace("right_", "R ") for name in COCO_17.keypoint_names]
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", SAME_MEANING.values(), ids=SAME_MEANING.keys())
def test_equivalent_files_give_the_same_people_and_metrics(
    folder: Path, tmp_path: Path, document: dict[str, Any], change: Change
) -> None:
    results = found_nearly(document)
    expected = evaluate_keypoints(document, results, COCO_17)
    people = read_coco(folder / "people.json", folder / "images")
    change(document)
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(document))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RsnWarning)
        assert evaluate_keypoints(document, results, COCO_17) == expected
        changed = read_coco(path, folder / "images").filter_valid()
    assert changed.skeleton.permutation_to(COCO_17) is not None
    for before, after in zip(people.people, changed.remap(COCO_17).people, strict=True):
        np.testing.assert_array_equal(before.keypoints, after.keypoints)
        np.testing.assert_array_equal(before.box, after.box)
        assert before.image.path == after.image.path
    assert check_dataset(path, folder / "images").errors == 0
    assert expected.ap > 0.9


def replaced(number: int, **fields: Any) -> Change:
    return lambda document: document["annotations"][number].update(fields)


REJECTED: dict[str, tuple[Change, IssueType]] = {
    "48 numbers": (replaced(0, keypoints=[1] * 48), kinds.INVALID_KEYPOINTS),
    "a word": (replaced(0, keypoints=["left", *[1] * 50]), kinds.INVALID_KEYPOINTS),
    "a decimal comma": (replaced(0, keypoints=["1,5", *[1] * 50]), kinds.INVALID_KEYPOINTS),
    "ragged triples": (replaced(0, keypoints=[[1, 2, 2], [1, 2]]), kinds.INVALID_KEYPOINTS),
    "a mapping": (replaced(0, keypoints={"nose": [1, 2, 2]}), kinds.INVALID_KEYPOINTS),
    "a marked keypoint that is nowhere": (replaced(0, keypoints=[None, None, 2, *[1] * 48]), kinds.INVALID_KEYPOINTS),
    "confidences": (replaced(0, keypoints=[3.0, 4.0, 0.7] * 17), kinds.INVALID_VISIBILITY),
    "a box of three": (replaced(0, bbox=[1, 2, 3]), kinds.INVALID_BOX),
    "a box of words": (replaced(0, bbox=["a", 2, 3, 4]), kinds.INVALID_BOX),
    "an unknown crowd": (replaced(0, iscrowd="maybe"), kinds.INVALID_CROWD),
    "an image that is not listed": (replaced(0, image_id="IMG_9"), kinds.UNLISTED_IMAGE),
    "no image": (replaced(0, image_id=None), kinds.UNLISTED_IMAGE),
    "a repeated id, once as text": (replaced(1, id="1"), kinds.DUPLICATE_ANNOTATION_ID),
    "a repeated image id": (lambda document: document["images"][1].update(id="1"), kinds.DUPLICATE_IMAGE_ID),
    "an image without id": (lambda document: document["images"][1].update(id=[2]), kinds.INVALID_IMAGE_ENTRY),
    "an annotation that is a list": (lambda document: document["annotations"].append([]), kinds.INVALID_ANNOTATION),
}  # fmt: skip


@pytest.mark.parametrize(("change", "kind"), REJECTED.values(), ids=REJECTED.keys())
def test_training_evaluation_and_check_report_the_same_errors(
    folder: Path, tmp_path: Path, document: dict[str, Any], change: Change, kind: IssueType
) -> None:
    results = found_nearly(document)
    change(document)
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(document))
    report = check_dataset(path, folder / "images")
    assert kind.level == "error"
    assert kind in report.issues
    assert kind.message in report.table()
    with pytest.raises(AnnotationError) as of_training:
        read_coco(path, folder / "images")
    with pytest.raises(AnnotationError) as of_evaluation:
        evaluate_keypoints(path, results, COCO_17)
    assert str(of_training.value) == str(of_evaluation.value)
    for found in report.issues:
        if found.level == "error":
            assert found.message in str(of_training.value)
    assert report.found.describe(kind)[0] in str(of_training.value)


WARNED: dict[str, tuple[Change, IssueType]] = {
    "no box": (replaced(2, bbox=None), kinds.NO_BOX),
    "an empty box": (replaced(2, bbox=[5, 5, 0, 0]), kinds.EMPTY_BOX),
    "another count": (replaced(2, num_keypoints=3), kinds.KEYPOINT_COUNT_MISMATCH),
    "an unlisted category": (replaced(2, category_id=0), kinds.UNLISTED_CATEGORY),
    "a box outside": (replaced(2, bbox=[500, 8, 60, 90]), kinds.BOX_OUTSIDE),
    "a keypoint outside": (replaced(2, keypoints=[900, 10, 2, *[20, 30, 2] * 16]), kinds.KEYPOINT_OUTSIDE),
    "limbs": (lambda document: document["categories"][0].update(skeleton=[[1, 99]]), kinds.INVALID_LIMBS),
    "a duplicate person": (
        lambda document: document["annotations"].append(document["annotations"][0] | {"id": 77}),
        kinds.DUPLICATE_PERSON,
    ),
    "a side alone": (
        lambda document: document["categories"][0].update(
            keypoints=["nose", "left_hand", *(f"spot {index}" for index in range(15))]
        ),
        kinds.NO_FLIP_PAIR,
    ),
}


@pytest.mark.parametrize(("change", "kind"), WARNED.values(), ids=WARNED.keys())
def test_read_coco_warns_in_the_words_of_check_dataset(
    folder: Path, tmp_path: Path, document: dict[str, Any], change: Change, kind: IssueType
) -> None:
    change(document)
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(document))
    assert kind.message in check_dataset(path, folder / "images").table()
    with pytest.warns(RsnWarning, match=f"changed.json: 1 {kind.message}"):
        read_coco(path, folder / "images")


def test_boxes_outside_the_image_are_skipped_and_counted(
    folder: Path, tmp_path: Path, document: dict[str, Any]
) -> None:
    document["annotations"][0]["bbox"] = [-90, 8, 60, 90]
    (tmp_path / "changed.json").write_text(json.dumps(document))
    with pytest.warns(RsnWarning, match="boxes outside their image"):
        people = read_coco(tmp_path / "changed.json", folder / "images").filter_valid()
    assert len(people) == 3
    assert people.skipped == {"box outside the image": 1}


@pytest.mark.parametrize(
    ("value", "crowd"),
    [(0, False), (1, True), ("0", False), ("1", True), ("true", True), ("False", False), (None, False), (1.0, True),
     ("0.0", False), (True, True), ("", False), ("crowd", None), ([], None), ({}, None)],
)  # fmt: skip
def test_is_crowd_reads_numbers_texts_and_words(value: Any, crowd: bool | None) -> None:
    assert is_crowd(value) is crowd


def test_unlisted_categories_are_counted_apart_from_those_without_keypoints(
    folder: Path, tmp_path: Path, document: dict[str, Any]
) -> None:
    document["categories"].append({"id": 2, "name": "bag", "keypoints": []})
    document["annotations"][0]["category_id"] = "2"
    document["annotations"][1]["category_id"] = 5
    (tmp_path / "changed.json").write_text(json.dumps(document))
    with pytest.warns(RsnWarning, match=r"annotation 2 \(category 5\)"):
        people = read_coco(tmp_path / "changed.json", folder / "images")
    assert people.skipped == {
        "of a category without these keypoints": 1,
        "of a category that is not listed": 1,
    }


def test_category_without_id_is_rejected(document: dict[str, Any]) -> None:
    document["categories"][0]["id"] = None
    with pytest.raises(AnnotationError, match="category 'person' has the id None; give it a number or a text"):
        evaluate_keypoints(document, [], COCO_17)


def test_keypoint_names_match_in_every_unicode_form(document: dict[str, Any]) -> None:
    names = ["tête", *(f"point {index}" for index in range(16))]
    document["categories"][0] |= {"keypoints": names, "skeleton": []}
    apart = Skeleton.from_names("chat", [unicodedata.normalize("NFD", name) for name in names], sigmas=[0.05] * 17)
    assert evaluate_keypoints(document, found_nearly(document), apart).ap > 0.9


def test_results_may_refer_to_images_by_id_or_file_name(document: dict[str, Any]) -> None:
    results = found_nearly(document)
    expected = evaluate_keypoints(document, results, COCO_17)
    forms: list[Callable[[int], Any]] = [
        str, float, "{:012}".format, "{:012}.png".format, "images/{:012}.png".format, "C:\\x\\{:012}.png".format,
    ]  # fmt: skip
    for form in forms:
        renamed = [result | {"image_id": form(result["image_id"])} for result in results]
        assert evaluate_keypoints(document, renamed, COCO_17) == expected
    counted = [
        result | {"image_id": 3 - result["image_id"], "file_name": f"images/{result['image_id']:012}.png"}
        for result in results
    ]  # rsn predict counts images whose names are not numbers
    assert evaluate_keypoints(document, counted, COCO_17) == expected


def test_results_with_keypoint_names_are_reordered_or_skipped(document: dict[str, Any]) -> None:
    results = found_nearly(document)
    expected = evaluate_keypoints(document, results, COCO_17)
    backwards = [
        result
        | {
            "keypoints": np.reshape(result["keypoints"], (-1, 3))[::-1].ravel().tolist(),
            "keypoint_names": list(COCO_17.keypoint_names[::-1]),
        }
        for result in results
    ]
    assert evaluate_keypoints(document, backwards, COCO_17) == expected
    renamed = [result | {"keypoint_names": [f"spot {index}" for index in range(17)]} for result in results]
    with (
        pytest.warns(RsnWarning, match="4 with other keypoints than coco_17"),
        pytest.raises(AnnotationError, match="no results to evaluate"),
    ):
        evaluate_keypoints(document, renamed, COCO_17)
