"""Invalid areas, boxes and image sizes are replaced with a warning."""

import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from people_on_disk import write_people
from rsn.data import issues
from rsn.data.checks import check_dataset
from rsn.data.coco import read_coco
from rsn.data.values import usable_area
from rsn.errors import AnnotationError, RsnWarning
from rsn.evaluation.coco import evaluate_keypoints
from rsn.skeletons import COCO_17

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    return json.loads(write_people(tmp_path, images=3).read_text())


def found_a_pixel_off(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"image_id": entry["image_id"], "category_id": 1, "score": 0.9,
         "keypoints": [value + 1 for value in entry["keypoints"]]}
        for entry in document["annotations"]
    ]  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        lambda area: 0, lambda area: 0.0, lambda area: 1, lambda area: -area, lambda area: area / 160 / 120,
        lambda area: 100 * area / 160 / 120 / 100, lambda area: "", lambda area: "large", lambda area: math.nan,
        lambda area: math.inf, lambda area: [area], lambda area: True, lambda area: area * 1000,
        lambda area: area**0.5 / 20,
    ],
)  # fmt: skip
def test_evaluation_replaces_invalid_areas_with_a_warning(
    document: dict[str, Any], wrong: Callable[[float], object]
) -> None:
    pytest.importorskip("hotcoco")
    results = found_a_pixel_off(document)
    for entry in document["annotations"]:
        entry["area"] = wrong(entry["area"])
    with pytest.warns(RsnWarning, match=r"6 people with an invalid area, who get 0\.53 x the area of their box"):
        scores = evaluate_keypoints(document, results, COCO_17)
    assert scores.ap > 0.9
    assert scores.ar > 0.9


@pytest.mark.parametrize(("area", "from_box"), [(2500, 5000), ("2500", 5000), (26, 1000), (1000, 1000), (1900, 1000)])
def test_usable_area_returns_valid_areas(area: object, from_box: float) -> None:
    assert usable_area(area, [3, 4, from_box / 10, 10]) == float(str(area))


def test_check_dataset_lists_people_with_invalid_area(tmp_path: Path, document: dict[str, Any]) -> None:
    document["annotations"][1]["area"] = 0.2
    document["annotations"][4]["area"] = -7
    (tmp_path / "changed.json").write_text(json.dumps(document))
    report = check_dataset(tmp_path / "changed.json", tmp_path / "images")
    assert report.issues[issues.INVALID_AREA] == [2, 5]
    assert "people with an invalid area, who get 0.53 x the area of their box" in report.table()


def _missing(entry: dict[str, Any]) -> None:
    del entry["bbox"]


@pytest.mark.parametrize(
    "change",
    [
        _missing, lambda entry: entry.update(bbox=None), lambda entry: entry.update(bbox=[]),
        lambda entry: entry.update(bbox=[0, 0, 0, 0]), lambda entry: entry.update(bbox=[5, 8, -60, 95]),
        lambda entry: entry.update(bbox=[0.1, 0.2, 0.4, 0.8]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [None, 0, "", [], "absent"])
def test_read_coco_replaces_missing_and_empty_boxes(
    tmp_path: Path, document: dict[str, Any], change: Change, size: object
) -> None:
    for image in document["images"]:
        image |= {"width": size, "height": size}
        if size == "absent":
            del image["width"], image["height"]
    change(document["annotations"][2])
    (tmp_path / "changed.json").write_text(json.dumps(document))
    with pytest.warns(
        RsnWarning,
        match="1 people with(out a box| a box of less than a pixel), who get one around their keypoints",
    ):
        people = read_coco(tmp_path / "changed.json", tmp_path / "images").filter_valid()
    assert len(people) == 6
    assert not people.skipped
    assert (people.people[2].box[2:] > 50).all()


def test_derived_boxes_are_clipped_to_the_image(tmp_path: Path, document: dict[str, Any]) -> None:
    document["annotations"][0] |= {
        "bbox": None,
        "keypoints": [150.0, 110.0, 2, 100.0, 60.0, 2, *[0, 0, 0] * 15],
    }
    document["images"][0] |= {"width": "160", "height": "120"}
    (tmp_path / "changed.json").write_text(json.dumps(document))
    with pytest.warns(RsnWarning, match="1 people without a box"):
        x, y, width, height = read_coco(tmp_path / "changed.json", tmp_path / "images").people[0].box
    assert (x + width, y + height) == (157.5, 115)


def test_valid_areas_give_no_warning(document: dict[str, Any]) -> None:
    pytest.importorskip("hotcoco")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RsnWarning)
        assert evaluate_keypoints(document, found_a_pixel_off(document), COCO_17).ap > 0.9


def normalized(keypoints: list[float]) -> list[float]:
    return [value / 160 if index % 3 < 2 else value for index, value in enumerate(keypoints)]


@pytest.mark.parametrize("boxes", [True, False])
def test_keypoints_as_fractions_of_the_image_are_rejected(
    tmp_path: Path, document: dict[str, Any], boxes: bool
) -> None:
    results = found_a_pixel_off(document)
    for entry in document["annotations"]:
        entry["keypoints"] = normalized(entry["keypoints"])
        entry["bbox"] = [value / 160 for value in entry["bbox"]] if boxes else entry["bbox"]
    (tmp_path / "changed.json").write_text(json.dumps(document))
    says = "6 people whose keypoints are fractions of the image"
    with pytest.raises(AnnotationError, match=says):
        read_coco(tmp_path / "changed.json", tmp_path / "images")
    with pytest.raises(AnnotationError, match=says):
        evaluate_keypoints(document, results, COCO_17)
    assert says[2:] in check_dataset(tmp_path / "changed.json", tmp_path / "images").table()


def test_results_as_fractions_of_the_image_are_rejected(document: dict[str, Any]) -> None:
    results = found_a_pixel_off(document)
    for result in results:
        result["keypoints"] = normalized(result["keypoints"])
    with pytest.raises(AnnotationError, match="all keypoints of the results lie within the first pixel"):
        evaluate_keypoints(document, results, COCO_17)


def test_boxes_and_areas_as_fractions_are_replaced_with_warnings(tmp_path: Path, document: dict[str, Any]) -> None:
    results = found_a_pixel_off(document)
    for entry in document["annotations"]:
        entry |= {"bbox": [value / 160 for value in entry["bbox"]], "area": entry["area"] / 160**2}
    with pytest.warns(RsnWarning) as caught:
        assert evaluate_keypoints(document, results, COCO_17).ap > 0.9
    text = " ".join(str(warning.message) for warning in caught)
    assert "6 people with a box of less than a pixel" in text
    assert "6 people with an invalid area" in text
