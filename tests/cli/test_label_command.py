"""`rsn data label`: predictions as annotations, with unknown keypoints that everything accepts."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from command import rsn
from people_on_disk import write_people
from rsn.data.coco import read_coco


def label(images: Path, output: Path, *arguments: object) -> dict[str, Any]:
    done = rsn("data", "label", images, "--output", output, "--boxes", "whole", *arguments)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return document


@pytest.mark.parametrize(("threshold", "visibility"), [(0, 2), (1, -1)])
def test_keypoints_are_visible_or_unknown_by_their_score(threshold: float, visibility: int, tmp_path: Path) -> None:
    images = write_people(tmp_path).parent / "images"
    (images / "more").mkdir()
    next(images.glob("*.png")).rename(images / "more/one.png")
    document = label(images, tmp_path / "labels.json", "--keypoint-threshold", threshold)
    assert {image["file_name"] for image in document["images"]} >= {"more/one.png", "000000000004.png"}
    assert len(document["annotations"]) == 4
    for person in document["annotations"]:
        inside = [
            0 <= x < 160 and 0 <= y < 120
            for x, y in zip(*[person["keypoints"][axis::3] for axis in (0, 1)], strict=True)
        ]
        expected = [visibility if one else -1 for one in inside]
        assert person["keypoints"][2::3] == expected
        assert person["num_keypoints"] == sum(one > 0 for one in expected)
        assert len(person["keypoint_scores"]) == 17
        assert 0 <= person["score"] <= 1


def test_unknown_keypoints_are_read_and_counted(tmp_path: Path) -> None:
    annotations = write_people(tmp_path)
    document = json.loads(annotations.read_text())
    document["annotations"][0]["keypoints"][2] = -1
    document["annotations"][0]["num_keypoints"] = 16
    annotations.write_text(json.dumps(document))
    dataset = read_coco(annotations, tmp_path / "images")
    assert dataset.people[0].visibility[:2].tolist() == [-1, 2]
    checked = rsn("data", "check", annotations, "--images", tmp_path / "images", "--json", tmp_path / "report.json")
    assert checked.returncode == 0, checked.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["keypoints"]["nose"] == {"visible": 7, "occluded": 0, "absent": 0, "unknown": 1}
    page = tmp_path / "page.html"
    assert rsn("data", "preview", annotations, "--images", tmp_path / "images", "--output", page).returncode == 0
    rows = re.findall(r"(nose|left_eye)</td>\s*<td[^>]*>([^<]*)", page.read_text())
    assert [(name, count.strip()) for name, count in rows] == [("nose", "7 + 0"), ("left_eye", "8 + 0")]
    converted = rsn("data", "convert", annotations, "--output", tmp_path / "copy.json")
    assert converted.returncode == 0, converted.stderr
    assert json.loads((tmp_path / "copy.json").read_text())["annotations"][0]["keypoints"][2] == -1


def test_unknown_keypoints_do_not_count_in_the_evaluation(tmp_path: Path) -> None:
    annotations = write_people(tmp_path)
    document = json.loads(annotations.read_text())
    results = [
        {"image_id": one["image_id"], "category_id": 1, "keypoints": list(one["keypoints"]), "score": 1.0}
        for one in document["annotations"]
    ]
    for one in document["annotations"]:
        one["keypoints"][:3] = [0, 0, -1]
    annotations.write_text(json.dumps(document))
    (tmp_path / "results.json").write_text(json.dumps(results))
    arguments = ("--annotations", annotations, "--json", tmp_path / "metrics.json")
    scored = rsn("score", tmp_path / "results.json", *arguments)
    assert scored.returncode == 0, scored.stderr
    assert json.loads((tmp_path / "metrics.json").read_text())["metrics"]["AP"] == pytest.approx(1)


def test_label_needs_a_folder_of_images(tmp_path: Path) -> None:
    done = rsn("data", "label", tmp_path, "--output", tmp_path / "labels.json")
    assert done.returncode == 1
    assert "there is no folder of images; name one" in done.stderr
    assert not (tmp_path / "labels.json").exists()
