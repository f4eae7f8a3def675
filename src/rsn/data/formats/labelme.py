"""labelme: one JSON file per image, with points and rectangles that share a group_id."""

import base64
import json
from os.path import commonpath, normpath, relpath
from pathlib import Path, PurePosixPath
from typing import Any

from rsn.data.formats import labels as form
from rsn.data.formats.folders import new_folder
from rsn.data.formats.labels import ABSENT, BoxMark, LabeledImage, Labels, PointMark, Source, files_below
from rsn.data.values import image_size
from rsn.io.files import atomic_write, make_folder


def find_labelme(source: Source) -> list[Path]:
    """The JSON files with labelme's keys."""
    return [path for path in source.of(".json") if form.has_keys(source.json(path), "shapes", "imagePath")]


def read_labelme(source: Source, files: list[Path]) -> Labels:
    """Read points and rectangles; other shapes are skipped and counted.

    A keypoint is occluded if a flag or its description says so, or `difficult`, which X-AnyLabeling writes. Images
    inside the files (imageData) that are missing in the folder of `--images` are written there.
    """
    labels = Labels(str(source.path), source.folder)
    paths, stored = [], []
    for path in files:
        with form.reading(str(path), "a labelme file"):
            document = source.json(path)
            folder, image_path = path.parent.absolute(), str(document["imagePath"]).replace("\\", "/")
            image = Path(normpath(folder / image_path))
            # A path of another machine means the image beside the file.
            paths.append(image if image.is_file() else folder / PurePosixPath(image_path).name)
            points, boxes = [], []
            for shape in document["shapes"]:
                corners = [(float(x), float(y)) for x, y in shape["points"]]
                kind, name, group = shape.get("shape_type"), str(shape["label"]), shape.get("group_id")
                if kind == "point":
                    points.append(PointMark(name, *corners[0], _visibility(shape), group))
                elif kind == "rectangle":
                    (x1, y1), (x2, y2) = corners[0], corners[len(corners) // 2]  # 2 corners, or all 4
                    boxes.append(BoxMark((min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1)), name, group))
                else:
                    labels.notes["shapes that are neither points nor rectangles, skipped"] += 1
            size = image_size({"width": document.get("imageWidth"), "height": document.get("imageHeight")})
            people = form.assemble_people(str(path), points, boxes)
            labels.images.append(LabeledImage("", people, size))
            stored.append(str(document.get("imageData") or ""))
    root = source.folder.absolute()
    if not all(path.is_relative_to(root) for path in paths):
        labels.folder = root = Path(commonpath([path.parent for path in paths]))
    for labeled, path in zip(labels.images, paths, strict=True):
        labeled.name = path.relative_to(root).as_posix()
    if source.images is not None:
        _extract(labels.images, stored, source.images)
    labels.collect_names()
    return labels


def _extract(images: list[LabeledImage], stored: list[str], folder: Path) -> None:
    """Write the images (base64) that are not below a folder yet."""
    there = {path.name for path in files_below(folder)}
    for image, data in zip(images, stored, strict=True):
        if data and PurePosixPath(image.name).name not in there:
            with form.reading(image.name, "an image in labelme's imageData"):
                pixels = base64.b64decode(data, validate=True)
            make_folder((folder / image.name).parent)
            atomic_write(folder / image.name, pixels)


def _visibility(shape: dict[str, Any]) -> int:
    flags = [name for name, is_set in (shape.get("flags") or {}).items() if is_set]
    return form.visibility_from([*flags, shape.get("description") or "", "occluded" if shape.get("difficult") else ""])


def write_labelme(labels: Labels, output: Path) -> None:
    """Write a folder with one JSON file per image; the images stay where they are.

    Visibility 1 becomes the flag `occluded`; absent keypoints have no shape.
    """
    with new_folder(output) as folder:
        for image in labels.images:
            name = PurePosixPath(image.name)
            final = (output / name).absolute().parent
            width, height = image.size or (None, None)
            document: dict[str, Any] = {
                "version": "5.5.0", "flags": {}, "shapes": _shapes(image, labels), "imageData": None,
                "imagePath": relpath(image.path.absolute(), final) if image.path else image.name,
                "imageHeight": height, "imageWidth": width,
            }  # fmt: skip
            (folder / name.parent).mkdir(parents=True, exist_ok=True)
            (folder / name.with_suffix(".json")).write_text(json.dumps(document), encoding="utf-8")


def _shapes(image: LabeledImage, labels: Labels) -> list[dict[str, Any]]:
    shapes: list[dict[str, Any]] = []
    for group, person in enumerate(image.people, 1):
        common = {"group_id": group, "description": "", "mask": None, "flags": {}}
        if person.box:
            x, y, width, height = person.box
            corners = [[x, y], [x + width, y + height]]
            shapes.append(common | {"label": person.category, "shape_type": "rectangle", "points": corners})
        for name in labels.keypoint_names:
            x, y, visibility = person.points.get(name, ABSENT)
            point = common | {"label": name, "shape_type": "point", "points": [[x, y]]}
            if visibility > 0:
                shapes.append(point | ({"flags": {"occluded": True}} if visibility == 1 else {}))
    return shapes
