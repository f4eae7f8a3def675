"""COCO-keypoints JSON, with COCO's own skeleton or any other that `categories` describes."""

import json
import re
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsn.datasets.extents import AREA_OF_BOX, image_size, is_empty_box, number, usable_area
from rsn.datasets.labelled import ImageFile, LabelledPerson, PoseDataset
from rsn.errors import AnnotationError, RsnWarning
from rsn.skeleton_files import from_category
from rsn.skeletons import Skeleton

# Median factors from the extent of the joints (width, height) to the box, among COCO's people with ten joints or more.
BOX_AROUND_JOINTS = (1.3, 1.2)

Entry = dict[str, Any]


def read_coco(annotations: Path, images: Path, skeleton: Skeleton | None = None) -> PoseDataset:
    """Read people with joints from a COCO-keypoints file.

    Whoever has joints and no box gets one around them, and an RsnWarning says so.

    Args:
        annotations: the JSON file.
        images: the folder that its `file_name`s are relative to. Pictures are not opened here.
        skeleton: the body, where the file's `categories` do not describe it or name its joints otherwise.

    Raises:
        AnnotationError: a file that is missing, not COCO keypoints, of another body, or lists nobody; an id that is
            given twice; an annotation with a wrong joint count, a number that is not finite, or an image that is not
            listed; a folder without the pictures.
    """
    return people_in(read_json(annotations), annotations, images, skeleton)


def people_in(
    document: Any, annotations: Path, images: Path, skeleton: Skeleton | None = None
) -> PoseDataset:
    """What `read_coco` returns, where the file has been read already (`read_json`)."""
    body = body_of(document, str(annotations), skeleton)
    files = image_files(document, annotations, images)
    entries = _complete(document["annotations"], document["images"], str(annotations), areas=False)
    if not entries:
        raise AnnotationError(f"{annotations}: lists nobody; is it the right file?")
    _check_twice("annotation", (entry["id"] for entry in entries if "id" in entry), str(annotations))
    of_body = [entry for entry in entries if body.has(entry)]
    people = tuple(_person(entry, files, body.skeleton, annotations) for entry in of_body)
    check_files({person.image.path for person in people}, images)
    others = len(entries) - len(people)
    left_out = Counter({"of a category without these joints": others} if others else {})
    return PoseDataset(body.skeleton, people, left_out, category_id=body.category_ids[0])


def read_json(path: Path) -> Any:
    """Parse a JSON file; AnnotationError in one sentence where that fails."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise AnnotationError(f"{path}: there is no such file") from None
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # the second: brackets within brackets
        raise AnnotationError(f"{path}: not valid JSON ({error})") from error


@dataclass(frozen=True)
class Body:
    """Whose joints a file has: the skeleton, and the ids of the categories that are of it."""

    skeleton: Skeleton
    category_ids: tuple[int, ...]

    def has(self, entry: Entry) -> bool:
        """Whether an annotation is of this body; one without category is."""
        return entry.get("category_id", self.category_ids[0]) in self.category_ids


def body_of(document: Any, where: str, given: Skeleton | None = None) -> Body:
    """The one body that a COCO-keypoints document is of.

    given: the body, where `categories` do not describe it, describe several, or number its joints instead of naming
        them (then an RsnWarning says that these names replace the file's).

    Raises:
        AnnotationError: not a COCO keypoints document, joints of another body, or of several bodies.
    """
    try:
        listed = isinstance(document["images"], list) and isinstance(document["annotations"], list)
        ids = tuple(category["id"] for category in document["categories"])
        described = [category for category in document["categories"] if category.get("keypoints")]
    except (KeyError, TypeError, AttributeError):
        listed, ids, described = False, (), []
    if not listed or not ids or (given is None and not described):
        raise AnnotationError(
            f"{where}: not a COCO keypoints file (needs images, annotations, and categories, one of them with"
            " keypoints where no skeleton file names the joints)"
        )
    if not described and given is not None:
        return Body(given, ids)
    bodies: dict[tuple[str, ...], Body] = {}
    for category in described:
        found = from_category(category, where)
        ids = bodies[found.plain_joints].category_ids if found.plain_joints in bodies else ()
        bodies[found.plain_joints] = Body(found, (*ids, category["id"]))
    if given is not None and given.plain_joints in bodies:
        return Body(given, bodies[given.plain_joints].category_ids)
    if len(bodies) > 1:
        names = ", ".join(body.skeleton.name for body in bodies.values())
        raise AnnotationError(
            f"{where}: has bodies with different joints ({names}); name the joints of one in a skeleton file"
        )
    body = next(iter(bodies.values()))
    return body if given is None else Body(_renamed(body.skeleton, given, where), body.category_ids)


def _renamed(found: Skeleton, given: Skeleton, where: str) -> Skeleton:
    """The given body, if its names can stand for those of the file, which differ."""
    if len(found) != len(given) or found.positions_in(given):
        raise AnnotationError(
            f"{where}: its joints are {', '.join(found.joints)}, those of {given.name} are {', '.join(given.joints)};"
            " name as many, in the file's order"
        )
    warnings.warn(
        f"{where}: its joints {', '.join(found.joints)} are taken for those of {given.name} in their order",
        RsnWarning,
        stacklevel=2,
    )
    return given


def for_evaluation(document: Any, where: str, skeleton: Skeleton) -> Entry:
    """The document with what COCO's evaluation needs and people's own files may lack; an RsnWarning says what.

    Missing and empty boxes are drawn around the joints, areas that are missing or cannot be right are 0.53 of the box,
    and categories with the same joints become one.

    Raises:
        AnnotationError: not a COCO keypoints document of this skeleton.
    """
    body = body_of(document, where, skeleton)
    one = body.category_ids[0]
    entries = _complete(document["annotations"], document["images"], where, areas=True)
    people = [
        entry if entry.get("category_id") == one or not body.has(entry) else entry | {"category_id": one}
        for entry in entries
    ]
    return {**document, "annotations": people}


def joints_of(entry: Entry) -> NDArray[np.float64]:
    """The joints of an annotation, (K, 3) x, y, visibility; (0, 3) where it has none.

    Raises:
        ValueError, TypeError: they are not triples of numbers.
    """
    return np.asarray(entry.get("keypoints") or [], np.float64).reshape(-1, 3)


def box_around(joints: NDArray[np.float64], size: tuple[float, float]) -> list[float]:
    """A box x, y, width, height around the marked ones of joints (K, 3), within a picture of (width, height) pixels.

    Nobody marked: zeros.
    """
    marked = joints[joints[:, 2] > 0, :2]
    if not len(marked):
        return [0.0] * 4
    margin = np.ptp(marked, axis=0) * (np.array(BOX_AROUND_JOINTS) - 1) / 2
    low = np.clip(marked.min(0) - margin, 0, size)
    high = np.clip(marked.max(0) + margin, 0, size)
    return [*low.tolist(), *(high - low).tolist()]


def _complete(entries: Sequence[Entry], images: Iterable[Entry], where: str, *, areas: bool) -> list[Entry]:
    """The annotations with a box each, and an area where asked for; what cannot be derived is left as it is."""
    sizes = _sizes(images)
    told: Counter[str] = Counter()
    completed: list[Entry] = []
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise AnnotationError(f"{where}: annotation number {place} is not a mapping")
        whole = dict(entry)
        try:  # numbers that are none are told where they are needed
            _complete_box(whole, sizes, told)
            if areas:
                _complete_area(whole, told)
        except (TypeError, ValueError):
            pass
        completed.append(whole)
    if told:
        said = " and ".join(f"{count} people {what}" for what, count in told.items())
        warnings.warn(f"{where}: {said}", RsnWarning, stacklevel=3)
    return completed


def _sizes(images: Iterable[Any]) -> dict[Hashable, tuple[float, float]]:
    """(width, height) of the images that tell it, by id."""
    sizes = {}
    for image in images:
        size = image_size(image)
        if size is not None and isinstance(image.get("id"), Hashable):
            sizes[image.get("id")] = size
    return sizes


def _complete_box(entry: Entry, sizes: dict[Hashable, tuple[float, float]], told: Counter[str]) -> None:
    if not is_empty_box(entry.get("bbox")):
        return
    image = entry.get("image_id")
    size = sizes.get(image, (np.inf, np.inf)) if isinstance(image, Hashable) else (np.inf, np.inf)
    box = box_around(joints_of(entry), size)
    missing = not entry.get("bbox")
    if missing or not is_empty_box(box):
        entry["bbox"] = box
    if not is_empty_box(box):
        what = "without box" if missing else "with a box of less than a pixel"
        told[f"{what} got one around their joints"] += 1


def _complete_area(entry: Entry, told: Counter[str]) -> None:
    given, box = entry.get("area"), entry["bbox"]
    if usable_area(given, box) is not None:
        return
    entry["area"] = AREA_OF_BOX * number(box[2]) * number(box[3])
    if entry["area"] > 0:
        what = "without area" if given is None else "whose area cannot be right"
        told[f"{what} got one of {AREA_OF_BOX} x their box"] += 1


def image_files(document: Any, path: Path, folder: Path) -> dict[int | str, ImageFile]:
    """The images that a document lists, by id, and where they are in a folder (see `image_paths`).

    Raises:
        AnnotationError: images without id or file_name, or an id that is listed twice.
    """
    paths = image_paths(folder)
    try:
        _check_twice("image", (image["id"] for image in document["images"]), str(path))
        return {
            image["id"]: ImageFile(image["id"], paths(image["file_name"])) for image in document["images"]
        }
    except (KeyError, TypeError):
        raise AnnotationError(f"{path}: each of its images needs an id and a file_name") from None


def image_paths(folder: Path) -> Callable[[str], Path]:
    """What tells from a listed file_name where the picture is in a folder.

    COCO's pictures have two names, COCO_val2014_000000000139.jpg and 000000000139.jpg; where the folder lacks the one
    that is listed, it is the other.
    """
    held = {_without_year(file.name): file.name for file in folder.iterdir()} if folder.is_dir() else {}
    names = set(held.values())
    return lambda name: folder / (name if name in names else held.get(_without_year(name), name))


def _without_year(name: str) -> str:
    return re.sub(r"^COCO_[a-z]+20\d\d_(?=\d+\.)", "", name)


def _check_twice(what: str, ids: Iterable[int | str], where: str) -> None:
    ids = list(ids)
    for identity in ids:
        if not isinstance(identity, Hashable):
            raise AnnotationError(f"{where}: {what} id {identity!r} is neither a number nor a text")
    twice = [identity for identity, count in Counter(ids).items() if count > 1]
    if twice:
        more = f" (and {len(twice) - 1} others)" if len(twice) > 1 else ""
        raise AnnotationError(f"{where}: {what} id {twice[0]!r}{more} is given twice; give each its own")


def _person(
    entry: Entry, files: dict[int | str, ImageFile], skeleton: Skeleton, path: Path
) -> LabelledPerson:
    where = f"{path}: annotation {entry.get('id', '?')}"
    if not isinstance(entry.get("image_id"), Hashable) or entry.get("image_id") not in files:
        raise AnnotationError(f"{where} is of image {entry.get('image_id')}, which the file does not list")
    try:
        joints = np.asarray(entry.get("keypoints") or [0] * 3 * len(skeleton), np.float64)
        box = np.asarray(entry["bbox"], np.float64)
    except (KeyError, TypeError, ValueError):
        raise AnnotationError(f"{where} has no box, or joints that are not numbers") from None
    if joints.size != 3 * len(skeleton):
        raise AnnotationError(
            f"{where} has {joints.size} joint numbers; {skeleton.name} needs {len(skeleton)} x 3"
        )
    if box.shape != (4,) or not np.isfinite(box).all() or not np.isfinite(joints).all():
        raise AnnotationError(
            f"{where} has a number that is not finite, or a box that is not x, y, width, height"
        )
    joints = joints.reshape(-1, 3)
    return LabelledPerson(
        image=files[entry["image_id"]],
        box=box,
        keypoints=joints[:, :2].astype(np.float32),
        visibility=joints[:, 2].astype(np.int64),
        crowd=bool(entry.get("iscrowd", 0)),
    )


def check_files(paths: set[Path], folder: Path) -> None:
    """Refuse (AnnotationError) a folder that does not exist or lacks some of the pictures."""
    if not folder.is_dir():
        raise AnnotationError(f"{folder}: there is no such folder of images")
    missing = sorted(path for path in paths if not path.is_file())
    if missing:
        raise AnnotationError(
            f"{missing[0]}: named by the annotations but not in the images folder;"
            f" {len(missing)} of {len(paths)} pictures are missing there"
        )
