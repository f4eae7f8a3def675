"""Run `rsn data convert`, and compare its output with the people of `label_files`."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from command import rsn
from label_files import NAMES, PEOPLE


def convert(source: Path, output: Path, *arguments: object) -> dict[str, Any]:
    """The document that `rsn data convert` writes; `rsn data check` must find no error in it."""
    done = rsn("data", "convert", source, "--output", output, *arguments)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    folder = done.stderr.rpartition(" images of ")[2].strip()
    checked = rsn("data", "check", output, "--images", folder)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    return document


def people_of(document: dict[str, Any]) -> dict[str, list[tuple[list[Any], list[float]]]]:
    """Keypoints as triples and boxes, by the end of the image's name (sub/a.png as a.png)."""
    people: dict[str, list[tuple[list[Any], list[float]]]] = {}
    for image in document["images"]:
        entries = [one for one in document["annotations"] if one["image_id"] == image["id"]]
        people[Path(image["file_name"]).name] = [
            (np.reshape(one["keypoints"], (-1, 3)).tolist(), one["bbox"]) for one in entries
        ]
    return people


def assert_same_people(document: dict[str, Any], *, occluded: bool = True, boxes: bool = True, most: int = 9) -> None:
    """The people of `label_files`, with or without visibility 1 and boxes; only the first `most` of each image."""
    found = people_of(document)
    assert document["categories"][0]["keypoints"] == NAMES
    assert found.keys() == {Path(name).name for name in PEOPLE}
    for name, people in PEOPLE.items():
        there = found[Path(name).name]
        assert len(there) == len(people[:most])
        for (points, box), (expected, expected_box) in zip(there, people, strict=False):
            wanted = [[x, y, 2 if v and not occluded else v] for x, y, v in expected]
            np.testing.assert_allclose(points, wanted, atol=2e-3)
            if boxes:
                np.testing.assert_allclose(box, expected_box, atol=2e-3)


def convert_without_images(source: Path, output: Path) -> dict[str, Any]:
    done = rsn("data", "convert", source, "--output", output)
    assert done.returncode == 0, done.stderr
    assert "images not found, so their sizes were not checked" in done.stderr
    document: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return document


def refused(source: Path, *arguments: object, output: str = "people.json") -> str:
    """The one sentence that a conversion ends with; nothing is written."""
    target = source.parent / output
    done = rsn("data", "convert", source, "--output", target, *arguments)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not target.exists()
    assert not list(source.parent.glob(".*.part"))
    return done.stderr.strip().splitlines()[-1]
