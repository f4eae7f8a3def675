"""VGG Image Annotator (VIA): project or annotations as JSON, or annotations as CSV; VIA 3 see `via3`."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rsn.data.formats import labels as form
from rsn.data.formats import via3
from rsn.data.formats.labels import PERSON, BoxMark, LabeledImage, Labels, PointMark, Source
from rsn.errors import AnnotationError

_CSV = ("filename", "region_shape_attributes", "region_attributes")
# What users call the attributes of regions, in order of preference.
_NAME = (
    "keypoint",
    "keypoint_name",
    "name",
    "label",
    "part",
    "bodypart",
    "joint",
    "landmark",
    "class",
    "type",
)
_PERSON = (
    "person",
    "person_id",
    "instance",
    "instance_id",
    "group",
    "group_id",
    "track",
    "track_id",
    "id",
    "object",
)
_YES = ("1", "true", "yes", "occluded", "hidden")


def find_via(source: Source) -> list[Path]:
    """The files of VIA 1, 2 and 3."""
    files = [
        path for path in source.of(".json") if via3.is_via3(source.json(path)) or _images(source.json(path)) is not None
    ]
    return files + [path for path in source.of(".csv") if _is_csv(form.first_line(path))]


def _is_csv(line: str) -> bool:
    return via3.is_via3_csv(line) or set(_CSV) <= set(line.lstrip("#").split(","))


def _images(document: Any) -> list[dict[str, Any]] | None:
    """The images of a project or of exported annotations; None for any other document."""
    entries = document.get("_via_img_metadata", document) if isinstance(document, dict) else None
    values = list(entries.values()) if isinstance(entries, dict) else []
    return values if values and all(form.has_keys(one, "filename", "regions") for one in values) else None


def read_via(source: Source, files: list[Path]) -> Labels:
    """Read points and rectangles; other shapes are skipped and counted.

    The attribute with the keypoint's name is known by its own name (keypoint, name, label, ...), or is the only one
    left; those of the person (person, instance, ...) and the visibility are known by their names. Without a person,
    keypoints belong to the rectangle around them.
    """
    labels = Labels(str(source.path), source.folder)
    for path in files:
        with form.reading(str(path), "a file of VIA"):
            for image in _read(source, path, labels):
                regions = image["regions"]
                regions = list(regions.values()) if isinstance(regions, dict) else regions
                labels.images.append(_image(str(image["filename"]), regions, labels))
    labels.collect_names()
    return labels


def _read(source: Source, path: Path, labels: Labels) -> list[dict[str, Any]]:
    """The images of a file of any version, in the form of VIA 2."""
    if path.suffix.lower() == ".csv":
        return via3.images_of_csv(path, labels.notes) if via3.is_via3_csv(form.first_line(path)) else _from_csv(path)
    document = source.json(path)
    return via3.images_of_project(document, labels.notes) if via3.is_via3(document) else _images(document) or []


def _from_csv(path: Path) -> list[dict[str, Any]]:
    images: dict[str, dict[str, Any]] = {}
    with open(path, encoding="utf-8-sig", newline="") as file:
        columns = file.readline().strip().lstrip("#").split(",")  # VIA 1 writes #filename
        for row in csv.DictReader(file, columns):
            if any(row.get(column) is None for column in _CSV):
                raise AnnotationError(f"{path}: the row of {row.get('filename')} is cut off; export the file again")
            shape, attributes = (json.loads(row[column] or "{}") for column in _CSV[1:])
            image = images.setdefault(row["filename"], {"filename": row["filename"], "regions": []})
            if shape:
                image["regions"].append({"shape_attributes": shape, "region_attributes": attributes})
    return list(images.values())


def _image(name: str, regions: Iterable[dict[str, Any]], labels: Labels) -> LabeledImage:
    points, boxes = [], []
    for region in regions:
        shape = region["shape_attributes"]
        attributes = {key.lower(): value for key, value in (region.get("region_attributes") or {}).items()}
        seen, group, label = _visibility(attributes), _pop(attributes, _PERSON), _pop(attributes, _NAME)
        if shape["name"] == "point":
            label = label or next((str(value) for value in attributes.values() if value), None)
            if label is None:
                raise ValueError(f"a point in {name} has no attribute with the name of its keypoint, such as keypoint")
            points.append(PointMark(label, float(shape["cx"]), float(shape["cy"]), seen, group))
        elif shape["name"] == "rect":
            x, y, width, height = (float(shape[key]) for key in ("x", "y", "width", "height"))
            boxes.append(BoxMark((x, y, width, height), label or PERSON, group))
        else:
            labels.notes["shapes that are neither points nor rectangles, skipped"] += 1
    return LabeledImage(name, form.assemble_people(f"{labels.where}: {name}", points, boxes))


def _visibility(attributes: dict[str, Any]) -> int:
    occluded = (_pop(attributes, ("occluded", "occlusion", "hidden")) or "").lower() in _YES
    hidden = (_pop(attributes, ("visible",)) or "").lower() in ("0", "false", "no")
    return form.visibility_from([_pop(attributes, ("visibility",)), "occluded" if occluded or hidden else ""])


def _pop(attributes: dict[str, Any], names: Iterable[str]) -> str | None:
    """Remove the first of these attributes that exists, and return its value; of check boxes the checked ones."""
    for name in names:
        if name in attributes:
            value = attributes.pop(name)
            if isinstance(value, dict):
                value = "_".join(key for key, checked in value.items() if checked)
            return str(value) if value not in (None, "") else None
    return None
