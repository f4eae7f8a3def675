"""Label Studio's exports JSON and JSON-MIN: tasks with keypoints and rectangles in percent of the image."""

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlparse

from rsn.data.formats import labels as form
from rsn.data.formats.labels import ABSENT, PERSON, Box, BoxMark, LabeledImage, Labels, PointMark, Source
from rsn.data.values import image_size
from rsn.io.files import atomic_write
from rsn.io.image_formats import is_image_name

_UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio writes in front of the names of uploaded files
_LOCAL = "/data/local-files/?d="
_RESULTS = {"annotations", "completions", "predictions"}
_MIN = ("id", "annotator", "annotation_id")  # of each annotation in JSON-MIN
_LABELS = "labels"  # the type of a result with the label of a region of another type
_OTHER_REGIONS = {"polygon", "ellipse", "brush", "bitmask", "vector", "video"}


def find_label_studio(source: Source) -> list[Path]:
    """The JSON files with tasks, with annotations of JSON-MIN, or with one annotation each as storages get them."""
    return [path for path in source.of(".json") if _tasks(source.json(path))]


def read_label_studio(source: Source, files: list[Path]) -> Labels:
    """Read the annotation of each task that a person submitted: the ground truth, else the one updated last.

    Predictions, drafts and cancelled annotations are no labels; tasks with nothing else are skipped and counted. A
    keypoint belongs to the rectangle that is its parent or related to it, else to the regions with the same parent,
    else to the smallest rectangle around it. A choice of the keypoint (occluded, hidden) makes it visibility 1.
    JSON-MIN has neither parents nor choices of a keypoint.
    """
    labels = Labels(str(source.path), source.folder, unit="fraction")
    for path in files:
        for number, task in enumerate(_tasks(source.json(path)) or [], 1):
            where = f"{path}: task {task.get('id', number)}"
            with form.reading(where, "a task of Label Studio"):
                annotations = task.get("annotations", task.get("completions")) or []
                submitted = [
                    one for one in annotations if not any(map(one.get, ("was_cancelled", "skipped", "deleted")))
                ]
                labels.notes["cancelled annotations, skipped"] += len(annotations) - len(submitted)
                labels.notes["tasks without labels, skipped"] += not submitted
                labels.notes["further annotations of a labeled task, skipped"] += max(0, len(submitted) - 1)
                submitted.sort(key=lambda one: (bool(one.get("ground_truth")), str(one.get("updated_at"))))
                labels.notes["regions that are neither keypoints nor rectangles, skipped"] += sum(
                    _is_other_region(result) for one in submitted[-1:] for result in one["result"]
                )
                folders = (source.folder, *([source.images] if source.images else []))
                labels.images += [_image(where, task, one["result"], folders) for one in submitted[-1:]]
    labels.collect_names()
    return labels


def _tasks(document: Any) -> list[dict[str, Any]] | None:
    """The tasks of an export in the form of JSON; None for any other document."""
    entries = document if isinstance(document, list) else [document]
    if all(form.has_keys(entry, "task", "result") and form.has_keys(entry["task"], "data") for entry in entries):
        return [entry["task"] | {"annotations": [entry]} for entry in entries]
    if all(form.has_keys(entry, "data") and _RESULTS & entry.keys() for entry in entries):
        return entries
    return _tasks_of_min(entries) if all(form.has_keys(entry, *_MIN) for entry in entries) else None


def _tasks_of_min(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    tasks: dict[Any, dict[str, Any]] = {}
    for entry in entries:
        values = [one for value in entry.values() if isinstance(value, list) for one in value if isinstance(one, dict)]
        results = [result for value in values for result in _results(value)]
        task = tasks.setdefault(entry["id"], {"id": entry["id"], "data": entry, "annotations": []})
        if results or entry["annotation_id"] is not None:
            task["annotations"].append({"result": results, "updated_at": entry.get("updated_at")})
    return list(tasks.values())


def _results(value: dict[str, Any]) -> list[dict[str, Any]]:
    """The result that a value of JSON-MIN is from; none for values without a label."""
    kind = next((key for key in value if key.endswith(_LABELS)), None)
    if kind is None:
        return []
    shape = kind.removesuffix(_LABELS) or ("rectangle" if "height" in value else "keypoint")  # of the tag Labels
    sides = {side: value.get(side) for side in ("original_width", "original_height")}
    return [{"type": f"{shape}{_LABELS}", "value": value | {f"{shape}{_LABELS}": value[kind]}} | sides]


def _is_other_region(result: dict[str, Any]) -> bool:
    return any(result["type"].startswith(word) for word in _OTHER_REGIONS)


def _regions(results: list[dict[str, Any]], shape: str) -> list[tuple[dict[str, Any], str | None]]:
    """The regions of a shape with their labels, which the tag Labels stores as results of their own."""
    labels = {one["id"]: one["value"].get(_LABELS) for one in results if one["type"] == _LABELS and "id" in one}
    regions = {}
    for number, one in enumerate(results):
        if one["type"] in (shape, f"{shape}{_LABELS}"):
            given = one["value"].get(one["type"]) or labels.get(one.get("id")) or [None]
            regions[one.get("id", number)] = (one, given[0])
    return list(regions.values())


def _image(where: str, task: dict[str, Any], results: list[dict[str, Any]], folders: Iterable[Path]) -> LabeledImage:
    keypoints = [(one, name) for one, name in _regions(results, "keypoint") if name is not None]
    rectangles = _regions(results, "rectangle")
    if any(one.get("image_rotation") for one, _ in keypoints + rectangles):
        raise ValueError("its image was rotated in Label Studio; rotate it back there")
    sides = [{"width": one.get("original_width"), "height": one.get("original_height")} for one in results]
    size = next(filter(None, map(image_size, sides)), None)
    boxes = [BoxMark(_box(one["value"], size), str(name or PERSON), one.get("id")) for one, name in rectangles]
    known = {box.group for box in boxes if box.group is not None}
    ends = [(one["from_id"], one["to_id"]) for one in results if one["type"] == "relation"]
    choices: dict[Any, list[str]] = defaultdict(list)  # results of their own, with the id of the keypoint
    for one in results:
        if one["type"] == "choices":
            choices[one.get("id")] += one["value"]["choices"]
    points = []
    for one, name in keypoints:
        value, own, parent = one["value"], one.get("id"), one.get("parentID")
        related = [end for pair in ends if own in pair for end in pair]
        group = next((other for other in (parent, *related) if other in known), parent)
        seen = form.visibility_from(choices[own] if own is not None else ())
        points.append(PointMark(str(name), value["x"] / 100, value["y"] / 100, seen, group))
    return LabeledImage(_name(task["data"], folders), form.assemble_people(where, points, boxes), size)


def _box(value: dict[str, Any], size: tuple[float, float] | None) -> Box:
    """A rectangle in fractions of the image; of one that is rotated around its corner, the box around it."""
    x, y, width, height = (float(value[key]) / 100 for key in ("x", "y", "width", "height"))
    angle, aspect = math.radians(float(value.get("rotation") or 0)), size[0] / size[1] if size else 1.0
    across = width * math.cos(angle), width * math.sin(angle) * aspect  # the angle is one of pixels
    down = -height * math.sin(angle) / aspect, height * math.cos(angle)
    xs, ys = ([start, start + a, start + b, start + a + b] for start, a, b in zip((x, y), across, down, strict=True))
    return (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))


def _name(data: dict[str, Any], folders: Iterable[Path]) -> str:
    """The image of a task: its path in local storage or of a URL, or the name that an uploaded file had."""
    texts = [text for text in (data.get("image"), *data.values()) if isinstance(text, str)]
    url = urlparse(next((text for text in texts if "?d=" in text or is_image_name(urlparse(text).path)), ""))
    local = parse_qs(url.query).get("d")
    path = PurePosixPath(local[0] if local else unquote(url.path))
    if not path.name:
        raise ValueError(f"no image among {', '.join(map(str, data))}")
    if "upload" in path.parts:
        renamed = not any(found for folder in folders for found in folder.rglob(path.name))
        return _UPLOADED.sub("", path.name) if renamed else path.name
    return str(path).lstrip("/")


def write_label_studio(labels: Labels, output: Path) -> None:
    """Write tasks to import: labels as annotations, results with scores as predictions, for a person to correct.

    Images are named as local storage does. Visibility 1 is the choice `occluded` of the keypoint.
    """
    tasks = [_task(image, number, labels) for number, image in enumerate(labels.images, 1)]
    atomic_write(output, json.dumps(tasks).encode())


def _task(image: LabeledImage, number: int, labels: Labels) -> dict[str, Any]:
    results: list[dict[str, Any]] = []
    width, height = image.size or (1, 1)
    common = {"to_name": "image", "original_width": width, "original_height": height, "image_rotation": 0}
    for index, person in enumerate(image.people):
        parent = f"{number}_{index}"
        if person.box:
            x, y, w, h = person.box
            corner = {"x": 100 * x / width, "y": 100 * y / height, "rotation": 0}
            box = corner | {
                "width": 100 * w / width,
                "height": 100 * h / height,
                "rectanglelabels": [person.category],
            }
            results.append(common | {"id": parent, "from_name": "person", "type": "rectanglelabels", "value": box})
        for name in labels.keypoint_names:
            x, y, seen = person.points.get(name, ABSENT)
            spot = {"x": 100 * x / width, "y": 100 * y / height, "width": 0.5}
            kinds = [("keypoints", "keypointlabels", name), ("visibility", "choices", "occluded")]
            for control, kind, value in kinds[: {2: 1, 1: 2}.get(seen, 0)]:
                region = common | {
                    "id": f"{parent}_{name}",
                    "parentID": parent,
                    "from_name": control,
                    "type": kind,
                }
                results.append(region | {"value": spot | {kind: [value]}})
    scores = [person.extra["score"] for person in image.people if "score" in person.extra]
    task: dict[str, Any] = {"id": number, "data": {"image": _LOCAL + quote(image.name)}, "annotations": []}
    if scores:
        return task | {"predictions": [{"result": results, "model_version": "rsn", "score": min(scores)}]}
    return task | {"annotations": [{"result": results, "was_cancelled": False}]}
