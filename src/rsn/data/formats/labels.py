"""Labels of any tool in one form: what readers return and writers take, and what they share."""

import csv
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from rsn.errors import AnnotationError
from rsn.io.validation import read_json
from rsn.keypoint_names import normalize_names
from rsn.skeletons import SKELETONS, Skeleton

Point = tuple[float, float, int]
Box = tuple[float, float, float, float]
ABSENT: Point = (0.0, 0.0, 0)
_BOX_MARGIN = 0.15  # of width and height: how far outside a box a keypoint without a group may lie
PERSON = "person"  # the category if a tool names none
# Words for a keypoint that is covered or not there, as flags, attributes and choices spell them.
_OCCLUDED = frozenset({"1", "occluded", "hidden", "invisible", "covered", "not_visible"})
_ABSENT = frozenset({"0", "absent", "outside", "missing", "not_labeled"})


@dataclass
class LabeledPerson:
    """A labeled person.

    points: x, y and visibility (2 visible, 1 occluded, 0 absent) by keypoint name; keypoints that are not in it are
    absent. box: x, y, width, height. keypoint_scores: by keypoint name, of predictions. extra: further keys of a COCO
    annotation, as id, iscrowd, area, segmentation, score and track_id.
    """

    points: dict[str, Point]
    box: Box | None = None
    category: str = PERSON
    keypoint_scores: dict[str, float] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def marked(self) -> list[Point]:
        """The keypoints that are not absent."""
        return [point for point in self.points.values() if point[2] > 0]

    def is_in(self, box: Box | None) -> bool:
        """Whether most of the keypoints are in a box."""
        x, y, width, height = box or (0, 0, 0, 0)
        points = self.marked()
        inside = sum(x <= point[0] <= x + width and y <= point[1] <= y + height for point in points)
        return box is not None and bool(points) and inside >= 0.8 * len(points)


@dataclass
class LabeledImage:
    """An image and its people.

    name: its path below the folder of images, or the end of that path, with or without suffix. size: (width, height) in
    pixels that the labels are for. path: the file, once it is found. id: in a COCO file.
    """

    name: str
    people: list[LabeledPerson] = field(default_factory=list)
    size: tuple[float, float] | None = None
    path: Path | None = None
    id: int | str | None = None


@dataclass
class Labels:
    """The labels of a dataset.

    folder: where the images are by default. limbs: pairs of keypoint names. flip_idx: for each keypoint the index of
    its counterpart, if the names do not show it. unit: of keypoints and boxes. notes: counts of what the user should
    know, by the words that follow the count.
    """

    where: str
    folder: Path
    keypoint_names: list[str] = field(default_factory=list)
    images: list[LabeledImage] = field(default_factory=list)
    limbs: list[tuple[str, str]] = field(default_factory=list)
    flip_idx: list[int] | None = None
    unit: Literal["pixel", "fraction"] = "pixel"
    notes: Counter[str] = field(default_factory=Counter)

    def people(self) -> Iterator[LabeledPerson]:
        """All people, image by image."""
        return (person for image in self.images for person in image.people)

    def categories(self) -> list[str]:
        """The categories of the people, in the order of their appearance."""
        return list(dict.fromkeys(person.category for person in self.people())) or [PERSON]

    def collect_names(self) -> None:
        """Take the keypoint names from the people, for formats without a list; in the order of a known skeleton."""
        names = order_names(person.points for person in self.people())
        normalized = normalize_names(names)
        known = (one.keypoint_names for one in SKELETONS.values() if sorted(one.keypoint_names) == sorted(normalized))
        self.keypoint_names = [names[normalized.index(name)] for name in next(known, normalized)]


class Source:
    """A file or folder of labels, each file parsed once. Hidden files and folders are ignored.

    skeleton, images: the skeleton and the folder of images that the user named.
    """

    def __init__(self, path: Path, skeleton: Skeleton | None = None, images: Path | None = None) -> None:
        if not path.exists():
            raise AnnotationError(f"{path}: there is no such file or folder")
        self.path, self.skeleton, self.images = path, skeleton, images
        self.folder = path if path.is_dir() else path.parent
        self._parsed: dict[Path, Any] = {}

    @cached_property
    def files(self) -> list[Path]:
        """The file itself, or all files below the folder, sorted."""
        return files_below(self.path) if self.path.is_dir() else [self.path]

    def of(self, *suffixes: str) -> list[Path]:
        """The files with one of these suffixes."""
        return [file for file in self.files if file.suffix.lower() in suffixes]

    def json(self, path: Path) -> Any:
        """The content of a JSON file (AnnotationError if it is not valid)."""
        if path not in self._parsed:
            self._parsed[path] = read_json(path)
        return self._parsed[path]

    def json_lists(self, *keys: str) -> list[Path]:
        """The JSON files that are lists of objects with these keys."""
        files = [(path, self.json(path)) for path in self.of(".json")]
        return [
            path
            for path, document in files
            if isinstance(document, list) and document and all(has_keys(one, *keys) for one in document)
        ]


def has_keys(document: Any, *keys: str) -> bool:
    """Whether a parsed document is an object with these keys."""
    return isinstance(document, dict) and document.keys() >= set(keys)


def files_below(folder: Path) -> list[Path]:
    """All files below a folder, sorted, without hidden ones and those that macOS adds to archives."""
    found = ((path, path.relative_to(folder).parts) for path in folder.rglob("*") if path.is_file())
    return sorted(path for path, parts in found if not any(part[0] == "." or part == "__MACOSX" for part in parts))


def first_line(path: Path) -> str:
    """The first line of a text file, without the spaces around it."""
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        return file.readline().strip()


@contextmanager
def reading(where: str, what: str) -> Iterator[None]:
    """Turn the errors that unexpected content of a file causes into one sentence (AnnotationError)."""
    try:
        yield
    except AnnotationError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, csv.Error) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise AnnotationError(f"{where}: not {what} as it should be ({reason}); export it again") from error


def order_names(sequences: Iterable[Iterable[str]]) -> list[str]:
    """The names in all sequences, in an order that agrees with each of them, if there is one."""
    lists = [list(names) for names in sequences]
    sorter: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys((name for names in lists for name in names), ()))
    for names in lists:
        for before, name in pairwise(names):
            sorter.add(name, before)
    try:
        return list(sorter.static_order())
    except CycleError:  # the keypoints were marked in different orders
        return list(dict.fromkeys(name for names in lists for name in names))


def visibility_from(words: Iterable[Any]) -> int:
    """The visibility of flags, attributes or choices: 0 absent, 1 occluded, else 2."""
    values = {str(word).strip().lower().replace(" ", "_") for word in words}
    return 0 if values & _ABSENT else 1 if values & _OCCLUDED else 2


@dataclass(frozen=True)
class PointMark:
    """A keypoint of tools that store shapes one by one. group: what the shapes of one person have in common."""

    name: str
    x: float
    y: float
    visibility: int = 2
    group: Hashable = None


@dataclass(frozen=True)
class BoxMark:
    """A rectangle of such tools; its label is the category of the person."""

    box: Box
    category: str = PERSON
    group: Hashable = None


def assemble_people(where: str, points: Iterable[PointMark], boxes: Iterable[BoxMark] = ()) -> list[LabeledPerson]:
    """The people that single keypoints and boxes of an image form.

    Those of one group are one person. A keypoint without a group belongs to the smallest box around it whose person
    lacks it; all others without a group are one person. A box without a group belongs to the person in it.

    Raises:
        AnnotationError: a person would have a keypoint or box more than once.
    """
    people: dict[Hashable, LabeledPerson] = {}
    for number, mark in enumerate(boxes):
        key: Hashable = ("box", number) if mark.group is None else ("group", mark.group)
        if key in people:
            raise AnnotationError(f"{where}: a person has two boxes; give each person its own group")
        people[key] = LabeledPerson({}, mark.box, mark.category)
    for point in points:
        key = ("group", point.group) if point.group is not None else _key_around(point, people)
        person = people.setdefault(key, LabeledPerson({}))
        if point.name in person.points:
            raise AnnotationError(
                f"{where}: {point.name!r} is marked more than once for one person; delete one, or group the keypoints"
                " of each person"
            )
        person.points[point.name] = (point.x, point.y, point.visibility)
    found = list(people.values())
    for person in people.values():
        around = [one for one in found if not person.box and not one.points and person.is_in(one.box)]
        if around:
            nearest = min(around, key=_area)
            person.box, person.category = nearest.box, nearest.category
            found.remove(nearest)
    return found


def _key_around(point: PointMark, people: dict[Hashable, LabeledPerson]) -> Hashable:
    """The key of the person with the smallest box around a point that lacks this keypoint, else of the rest.

    Hands and feet often reach a little out of boxes.
    """
    one = LabeledPerson({point.name: (point.x, point.y, 2)})
    for margin in (0, _BOX_MARGIN):
        around = [key for key, person in people.items() if one.is_in(_extend(person.box, margin))]
        around.sort(key=lambda key: (point.name in people[key].points, _area(people[key])))
        if around:
            return around[0]
    return "rest", None


def _extend(box: Box | None, margin: float) -> Box | None:
    if box is None:
        return None
    x, y, width, height = box
    return (x - margin * width, y - margin * height, (1 + 2 * margin) * width, (1 + 2 * margin) * height)


def _area(person: LabeledPerson) -> float:
    return person.box[2] * person.box[3] if person.box else 0.0
