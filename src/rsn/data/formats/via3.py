"""VIA 3: projects as JSON and annotations as CSV, converted to the images and regions of VIA 2."""

import csv
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from rsn.data.formats.labels import has_keys

_CSV_MARK, _CSV_ATTRIBUTES, _CSV_COLUMNS = "# Exported using VGG Image Annotator", "# ATTRIBUTE = ", 6
_POINT, _RECTANGLE, _EXTREME_RECTANGLE = 1, 2, 8  # first number of the coordinates of a region
_TEXT, _CHECKBOX = 1, 2  # types of attributes; the others have one option

Image = dict[str, Any]  # as VIA 2 stores it: filename and regions


def is_via3(document: Any) -> bool:
    """Whether a parsed JSON file is a project of VIA 3."""
    return has_keys(document, "attribute", "file", "metadata", "view")


def is_via3_csv(first_line: str) -> bool:
    """Whether a CSV file with this first line was exported by VIA 3."""
    return first_line.startswith(_CSV_MARK)


def images_of_project(document: Any, notes: Counter[str]) -> list[Image]:
    """The images of a project; marks in videos are counted in the notes.

    Raises:
        KeyError, ValueError, TypeError: it is incomplete, or shows several files at once.
    """
    images: dict[str, Image] = {}
    for number, view in document["view"].items():
        if len(view["fid_list"]) != 1:
            raise ValueError(f"view {number} shows {len(view['fid_list'])} files, not 1")
        file = document["file"][str(view["fid_list"][0])]
        images[number] = {"filename": _file_name(file["fname"] or file["src"]), "regions": []}
    for mark in document["metadata"].values():
        regions = images[str(mark["vid"])]["regions"]
        regions += _regions(mark["z"], mark["xy"], mark["av"], document["attribute"], notes)
    return list(images.values())


def images_of_csv(path: Path, notes: Counter[str]) -> list[Image]:
    """The images of a CSV file, which lists only those with marks.

    Raises:
        ValueError: a row is cut off, or the comment with the attributes is missing.
    """
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    attributes = next((line.removeprefix(_CSV_ATTRIBUTES) for line in lines if line.startswith(_CSV_ATTRIBUTES)), None)
    if attributes is None:
        raise ValueError("it has no comment ATTRIBUTE, which names the attributes")
    images: dict[str, Image] = {}
    for row in csv.reader(line for line in lines if line and not line.startswith("#")):
        if len(row) != _CSV_COLUMNS:
            raise ValueError(f"a row with {len(row)} columns, not {_CSV_COLUMNS}; is the file cut off?")
        files, times, spot, values = (json.loads(row[index]) for index in (1, 3, 4, 5))
        if len(files) != 1:
            raise ValueError(f"a row with {len(files)} files, not 1")
        name = _file_name(files[0])
        regions = images.setdefault(name, {"filename": name, "regions": []})["regions"]
        regions += _regions(times, spot, values, json.loads(attributes), notes)
    return list(images.values())


def _file_name(name: str) -> str:
    url = urlparse(name)
    return unquote(url.path).lstrip("/") if len(url.scheme) > 1 else name  # one letter is a drive of Windows


def _regions(
    times: list[float], spot: list[float], values: dict[str, str], attributes: dict[str, Any], notes: Counter[str]
) -> Iterable[dict[str, Any]]:
    """The region of a mark in the form of VIA 2; none for marks of the whole file, and in videos."""
    if not spot:
        return
    if times:
        notes["marks in videos, skipped"] += 1
        return
    kind, *numbers = spot
    shape: dict[str, Any] = {"name": "other"}
    if kind == _POINT:
        shape = {"name": "point", "cx": numbers[0], "cy": numbers[1]}
    elif kind == _RECTANGLE:
        shape = dict(zip(("x", "y", "width", "height"), numbers, strict=True), name="rect")
    elif kind == _EXTREME_RECTANGLE:  # 4 points on its sides
        xs, ys = numbers[::2], numbers[1::2]
        shape = {"name": "rect", "x": min(xs), "y": min(ys), "width": max(xs) - min(xs), "height": max(ys) - min(ys)}
    named = {attributes[key]["aname"]: _value(attributes[key], value) for key, value in values.items()}
    yield {"shape_attributes": shape, "region_attributes": named}


def _value(attribute: dict[str, Any], value: str) -> Any:
    """The value of an attribute: texts are stored as they are, options by their ids."""
    if attribute["type"] == _TEXT:
        return value
    if attribute["type"] == _CHECKBOX:
        return {attribute["options"][one]: True for one in value.split(",") if one}
    return attribute["options"][value] if value else ""
