"""COCO-keypoints JSON, also as CVAT and Roboflow export it; its variants are read by `rsn.data.records`."""

import json
from pathlib import Path
from typing import Any

from rsn.data.formats.labels import ABSENT, PERSON, LabeledImage, LabeledPerson, Labels, Source, has_keys
from rsn.data.records import read_records
from rsn.data.values import AREA_PER_BOX, Id, display_id, normalize_id
from rsn.errors import AnnotationError
from rsn.io.files import atomic_write
from rsn.skeletons import Skeleton

CONVERTED = "converted by rsn data convert"
KEYS = ("images", "annotations", "categories")
_EXTRA = ("segmentation", "score", "track_id", "attributes")


def find_coco(source: Source) -> list[Path]:
    """The COCO files; of several, those with keypoints."""
    files = [path for path in source.of(".json") if has_keys(source.json(path), *KEYS)]
    return [path for path in files if any(map(_has_keypoints, source.json(path)["categories"]))] or files


def _has_keypoints(category: Any) -> bool:
    return isinstance(category, dict) and bool(category.get("keypoints"))


def read_coco_labels(source: Source, files: list[Path]) -> Labels:
    """Read COCO files as one dataset. An image beside its file has the folder of that file in its name.

    Raises:
        AnnotationError: errors in a file, as `rsn data check` reports them; files with different keypoints.
    """
    labels = Labels(str(source.path), source.folder)
    for path in files:
        document = _number_annotations(source.json(path), labels)
        records = read_records(document, str(path), source.skeleton)
        records.issues.raise_errors(str(path))
        names = list(records.skeleton.keypoint_names)
        if labels.keypoint_names and labels.keypoint_names != names:
            raise AnnotationError(f"{path}: its keypoints are not those of {files[0]}; convert one at a time")
        labels.keypoint_names, labels.flip_idx = names, list(records.skeleton.flip_indices)
        labels.limbs = [(names[a], names[b]) for a, b in records.skeleton.limbs]
        labels.notes.update({f"annotations {reason}, skipped": count for reason, count in records.skipped.items()})
        images = {
            image: LabeledImage(_image_name(source, path, image.name or str(image.id)), size=image.size, id=image.id)
            for image in records.images
        }
        entries = _entries(document)
        categories = {normalize_id(one.get("id")): str(one.get("name") or PERSON) for one in document["categories"]}
        for record in records.annotations:
            entry = entries[record.id]
            triples = zip(names, record.keypoints.tolist(), strict=True)
            x, y, width, height = record.box.tolist()
            person = LabeledPerson(
                {name: (x, y, int(visibility)) for name, (x, y, visibility) in triples},
                (x, y, width, height) if width > 0 and height > 0 else None,
                categories.get(normalize_id(entry.get("category_id")), PERSON),
            )
            scores = entry.get("keypoint_scores")
            if isinstance(scores, list) and len(scores) == len(names):
                person.keypoint_scores = dict(zip(names, map(float, scores), strict=True))
            person.extra = {key: entry[key] for key in _EXTRA if key in entry}
            person.extra |= {"id": record.id, "area": record.area, "iscrowd": int(record.crowd)}
            images[record.image].people.append(person)
        labels.images += images.values()
    return labels


def _number_annotations(document: Any, labels: Labels) -> Any:
    """The document with new ids of its annotations if they repeat; nothing refers to these ids."""
    entries = [one for one in document["annotations"] if isinstance(one, dict)]
    ids = [normalize_id(one.get("id")) for one in entries]
    repeated = len(ids) - len(set(ids))
    if not repeated or None in ids:
        return document
    labels.notes["annotation ids that repeat, so all are numbered anew"] += repeated
    return document | {"annotations": [one | {"id": number} for number, one in enumerate(entries, 1)]}


def _image_name(source: Source, path: Path, name: str) -> str:
    beside = path.parent / name
    within = beside.is_file() and beside.is_relative_to(source.folder)
    return beside.relative_to(source.folder).as_posix() if within else name


def _entries(document: Any) -> dict[Id, Any]:
    """Annotations by the ids that records give them."""
    entries: dict[Id, Any] = {}
    for number, entry in enumerate(document["annotations"]):
        shown = display_id(entry.get("id"))
        entries.setdefault(f"number {number}" if shown is None else shown, entry)
    return entries


def to_coco(labels: Labels) -> dict[str, Any]:
    """Labels in pixels as a COCO-keypoints document. Ids stay, unless some are missing or repeat."""
    names, categories = labels.keypoint_names, labels.categories()
    limbs = [[names.index(a) + 1, names.index(b) + 1] for a, b in labels.limbs]
    described: dict[str, Any] = {"keypoints": names, "skeleton": limbs}
    if labels.flip_idx not in (None, list(Skeleton.from_names(PERSON, names).flip_indices)):
        described["flip_idx"] = labels.flip_idx
    image_ids = _ids([image.id for image in labels.images])
    ids = iter(_ids([person.extra.get("id") for person in labels.people()]))
    return {
        "info": {"description": CONVERTED},
        "images": [
            {"id": image_id, "file_name": image.name}
            | ({"width": image.size[0], "height": image.size[1]} if image.size else {})
            for image_id, image in zip(image_ids, labels.images, strict=True)
        ],
        "annotations": [
            {"id": next(ids), "image_id": image_id, "category_id": categories.index(person.category) + 1}
            | _annotation(person, names)
            for image_id, image in zip(image_ids, labels.images, strict=True)
            for person in image.people
        ],
        "categories": [{"id": number, "name": name, **described} for number, name in enumerate(categories, 1)],
    }


def _ids(given: list[Any]) -> list[Any]:
    unique = None not in given and len(set(map(normalize_id, given))) == len(given)
    return given if unique else list(range(1, len(given) + 1))


def _annotation(person: LabeledPerson, names: list[str]) -> dict[str, Any]:
    points = [person.points.get(name, ABSENT) for name in names]
    points = [point if point[2] else ABSENT for point in points]
    box = person.box or (0.0, 0.0, 0.0, 0.0)
    scores = [round(person.keypoint_scores.get(name, 0.0), 6) for name in names] if person.keypoint_scores else None
    return (
        {
            "iscrowd": 0,
            "keypoints": [value for x, y, visibility in points for value in (round(x, 3), round(y, 3), visibility)],
            "num_keypoints": sum(point[2] > 0 for point in points),
            "bbox": [round(value, 3) for value in box],
            "area": round(AREA_PER_BOX * box[2] * box[3], 3),
        }
        | {key: value for key, value in person.extra.items() if key != "id"}
        | ({"keypoint_scores": scores} if scores else {})
    )


def write_coco(labels: Labels, output: Path) -> None:
    """Write labels in pixels as one COCO-keypoints JSON file."""
    atomic_write(output, json.dumps(to_coco(labels)).encode())
