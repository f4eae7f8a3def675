"""Convert the files of public benchmarks to COCO-keypoints documents, which `rsn.data.records` reads.

What differs from COCO is put right: the form of the file, visibility, pixels counted from 1, areas that the evaluator
of the benchmark takes from the box, and people that it ignores. Other errors are left for the reader to report.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from rsn.data.values import AREA_PER_BOX, Id, image_size, normalize_id
from rsn.errors import AnnotationError
from rsn.keypoint_names import normalize_names
from rsn.skeletons import AIC_14, COCO_17, CROWDPOSE_14, JHMDB_15, WHOLEBODY_133, Skeleton

Entry = dict[str, Any]

# The fields of COCO-WholeBody, and the number of keypoints in them; together they are those of `WHOLEBODY_133`.
WHOLEBODY_FIELDS = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
_FIRST_OF_FACE = 23  # from there on, COCO-WholeBody does not tell occluded keypoints from visible ones
_AIC_VISIBILITY = {1: 2, 2: 1, 3: 0}  # visible, occluded, outside of the image or unknown
_OCHUMAN_VISIBILITY = {0: 0, 1: 2, 2: 2, 3: 1}  # missing, visible, occluded by themselves (visible to COCO), by others


@dataclass(frozen=True, eq=False)
class CocoForm:
    """A COCO-keypoints document, and the normalized ids of people that the evaluator of the benchmark ignores."""

    document: Any
    ignored: frozenset[Id] = frozenset()


def keep_form(document: Any, where: str) -> CocoForm:
    """The document itself."""
    return CocoForm(document)


def name_coco_keypoints(document: Any, where: str) -> CocoForm:
    """COCO's form and COCO's keypoints (Human-Art).

    Raises:
        AnnotationError: the keypoints are those of another dataset.
    """
    return CocoForm(_name_keypoints(document, COCO_17, where))


def convert_ochuman(document: Any, where: str) -> CocoForm:
    """OCHuman's val and test files, which have COCO's form, or its original file, as the dataset's API converts it.

    The API leaves out people without keypoints or without a mask, takes the area of the box as the area, and takes
    keypoints as visible that only the person's own body occludes.

    Raises:
        AnnotationError: another dataset, or people without a box.
    """
    if not isinstance(document, dict) or "keypoint_names" not in document:
        return name_coco_keypoints(document, where)
    with _explained(where, "OCHuman's file (keypoint_names, and images with annotations)"):
        order = [document["keypoint_names"].index(name) for name in COCO_17.keypoint_names]
        images: list[Entry] = []
        people: list[Entry] = []
        for image in document["images"]:
            labeled = [one for one in image["annotations"] if one.get("keypoints") and one.get("segms")]
            if labeled:
                images.append({"id": image["image_id"]} | _fields(image, "file_name", "width", "height"))
            for one in labeled:
                box = _box_of_corners(one["bbox"])
                keypoints = np.reshape(np.asarray(one["keypoints"], np.float64), (-1, 3))[order]
                keypoints[:, 2] = [_OCHUMAN_VISIBILITY[int(state)] for state in keypoints[:, 2]]
                people.append(_person(len(people) + 1, image["image_id"], box, keypoints) | {"area": box[2] * box[3]})
    return CocoForm(_document(images, people, COCO_17))


def convert_crowdpose(document: Any, where: str) -> CocoForm:
    """CrowdPose: the area is 0.53 of the box; people without a visible keypoint (num_keypoints 0) are ignored.

    Raises:
        AnnotationError: the keypoints are those of another dataset.
    """
    document = _name_keypoints(document, CROWDPOSE_14, where)
    uncounted = [entry for entry in _annotations(document) if normalize_id(entry.get("num_keypoints")) == 0]
    ignored = {normalize_id(entry.get("id")) for entry in uncounted}
    counted = _with_annotations(document, lambda entry: _with_box_area(_without(entry, "num_keypoints")))
    return CocoForm(counted, frozenset(one for one in ignored if one is not None))


def convert_aic(document: Any, where: str) -> CocoForm:
    """AI Challenger's list of images, or a COCO file of it; the area is 0.53 of the box.

    Raises:
        AnnotationError: another dataset, or people without a box.
    """
    if not isinstance(document, list):
        return CocoForm(_with_annotations(_name_keypoints(document, AIC_14, where), _with_box_area))
    images: list[Entry] = []
    people: list[Entry] = []
    with _explained(
        where, "AI Challenger's list (image_id, keypoint_annotations and human_annotations of every image)"
    ):
        for image in document:
            images.append({"id": image["image_id"], "file_name": f"{image['image_id']}.jpg"})
            for name, numbers in image["keypoint_annotations"].items():
                keypoints = np.reshape(np.asarray(numbers, np.float64), (len(AIC_14), 3))
                keypoints[:, 2] = [_AIC_VISIBILITY[int(state)] for state in keypoints[:, 2]]
                box = _box_of_corners(image["human_annotations"][name])
                people.append(_with_box_area(_person(len(people) + 1, image["image_id"], box, keypoints)))
    return CocoForm(_document(images, people, AIC_14))


def convert_wholebody(document: Any, where: str) -> CocoForm:
    """COCO-WholeBody: the keypoints of all fields in one list. Labeled keypoints of face and hands are visible.

    Raises:
        AnnotationError: an annotation without one of the fields, or another number of keypoints in it.
    """
    document = _name_keypoints(document, COCO_17, where)

    def join(entry: Entry) -> Entry:
        numbers = join_wholebody(entry, where)
        for index in range(3 * _FIRST_OF_FACE + 2, len(numbers), 3):
            if isinstance(numbers[index], int | float) and numbers[index] > 0:
                numbers[index] = 2
        return _without(entry, "num_keypoints") | {"keypoints": numbers}

    joined = _with_annotations(document, join)
    if isinstance(joined, dict):
        categories = [_category(one, WHOLEBODY_133) for one in joined.get("categories") or [{}]]
        joined = joined | {"categories": categories}
    return CocoForm(joined)


def join_wholebody(entry: Entry, where: str) -> list[Any]:
    """The 133 x 3 numbers of an annotation or a result that has them in five fields.

    Raises:
        AnnotationError: a field is missing, or has another number of keypoints.
    """
    numbers: list[Any] = []
    for field, count in WHOLEBODY_FIELDS.items():
        given = entry.get(field)
        if not isinstance(given, list) or len(given) != 3 * count:
            found = f"{len(given)} numbers" if isinstance(given, list) else "none"
            raise AnnotationError(
                f"Invalid {where}: expected {field} of {3 * count} numbers in every entry, as COCO-WholeBody has them,"
                f" got {found} for id {entry.get('id')} in image {entry.get('image_id')}; take COCO-WholeBody's files,"
                " not COCO's"
            )
        numbers += given
    return numbers


def convert_jhmdb(document: Any, where: str) -> CocoForm:
    """JHMDB in MMPose's files: COCO's form, with pixels counted from 1; boxes are cut at the border of the image.

    Raises:
        AnnotationError: the keypoints are those of another dataset.
    """
    document = _name_keypoints(document, JHMDB_15, where)
    listed = document.get("images") if isinstance(document, dict) else None
    images = listed if isinstance(listed, list) else []
    sizes = {normalize_id(one.get("id")): image_size(one) for one in images if isinstance(one, dict)}

    def count_from_0(entry: Entry) -> Entry:
        try:
            keypoints = np.reshape(np.asarray(entry["keypoints"], np.float64), (-1, 3)) - [1, 1, 0]
            x, y, width, height = np.asarray(entry["bbox"], np.float64) - [1, 1, 0, 0]
        except (KeyError, TypeError, ValueError):  # reported by the reader
            return entry
        x, y = max(x, 0), max(y, 0)
        most = sizes.get(normalize_id(entry.get("image_id"))) or (np.inf, np.inf)
        box = [x, y, min(most[0] - 1, x + width) - x, min(most[1] - 1, y + height) - y]
        return entry | {"keypoints": keypoints.ravel().tolist(), "bbox": [float(value) for value in box]}

    return CocoForm(_with_annotations(document, count_from_0))


@contextmanager
def _explained(where: str, expected: str) -> Iterator[None]:
    """Turn the errors that a file of another form causes into a sentence."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise AnnotationError(
            f"Invalid {where}: expected {expected}, got another form ({error!r}); is it the right file?"
        ) from error


def _name_keypoints(document: Any, skeleton: Skeleton, where: str) -> Any:
    """The document with the keypoint names of a skeleton, where its categories name them differently or not at all."""
    if not isinstance(document, dict):
        return document
    categories = document.get("categories")
    if categories is not None and not isinstance(categories, list):
        return document
    named = []
    for category in categories or [{"id": 1, "name": "person"}]:
        names = category.get("keypoints") if isinstance(category, dict) else None
        if isinstance(names, list) and names and not _are_names_of(skeleton, names):
            raise AnnotationError(
                f"Invalid {where}: expected the {len(skeleton)} keypoints of {skeleton.name}"
                f" ({', '.join(skeleton.keypoint_names[:3])}, ...), got {len(names)}"
                f" ({', '.join(map(str, names[:3]))}, ...); is it a file of this dataset?"
            )
        same = isinstance(names, list) and set(_normalized(names)) == set(skeleton.normalized_names)
        named.append(category if same or not isinstance(category, dict) else _category(category, skeleton))
    return document | {"categories": named}


def _normalized(names: Sequence[Any]) -> tuple[str, ...]:
    return normalize_names(list(map(str, names)))


def _are_names_of(skeleton: Skeleton, names: Sequence[Any]) -> bool:
    """Whether names are those of a skeleton, in any order, or in its order with up to half of them in other words."""
    given = _normalized(names)
    own = skeleton.normalized_names
    if len(given) != len(own):
        return False
    same = sum(a == b for a, b in zip(given, own, strict=True))
    others = sum(a != b and a in own for a, b in zip(given, own, strict=True))
    return set(given) == set(own) or (2 * same >= len(own) and not others)


def _category(category: Entry, skeleton: Skeleton) -> Entry:
    """A category with the names of a skeleton; limbs, which belong to the former names, are left out."""
    return {"id": 1, "name": "person"} | _without(category, "skeleton") | {"keypoints": list(skeleton.keypoint_names)}


def _annotations(document: Any) -> list[Entry]:
    listed = document.get("annotations") if isinstance(document, dict) else None
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []


def _with_annotations(document: Any, change: Callable[[Entry], Entry]) -> Any:
    """The document with changed annotations; without a list of annotations, the document itself."""
    if not isinstance(document, dict) or not isinstance(document.get("annotations"), list):
        return document
    changed = [change(entry) if isinstance(entry, dict) else entry for entry in document["annotations"]]
    return document | {"annotations": changed}


def _with_box_area(entry: Entry) -> Entry:
    """An annotation whose area is that of its box times 0.53; without a valid box, the area is left out."""
    rest = _without(entry, "area")
    try:
        _, _, width, height = (float(value) for value in entry["bbox"])
    except (KeyError, TypeError, ValueError):
        return rest
    return rest | {"area": AREA_PER_BOX * width * height}


def _without(entry: Entry, name: str) -> Entry:
    return {key: value for key, value in entry.items() if key != name}


def _box_of_corners(corners: Sequence[float]) -> list[float]:
    """x, y, width, height of x1, y1, x2, y2."""
    x1, y1, x2, y2 = (float(value) for value in corners)
    return [x1, y1, x2 - x1, y2 - y1]


def _person(number: int, image: Id, box: list[float], keypoints: Any) -> Entry:
    person = {"id": number, "image_id": image, "category_id": 1, "iscrowd": 0}
    return person | {"bbox": box, "keypoints": keypoints.ravel().tolist()}


def _fields(entry: Entry, *names: str) -> Entry:
    return {name: entry[name] for name in names if name in entry}


def _document(images: list[Entry], people: list[Entry], skeleton: Skeleton) -> Entry:
    return {"images": images, "annotations": people, "categories": [_category({}, skeleton)]}
