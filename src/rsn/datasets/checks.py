"""Looking for mistakes in a COCO-keypoints data set. Nothing stops at the first one, as reading for training does."""

import random
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from os import cpu_count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsn.datasets import findings as kinds
from rsn.datasets.coco import Body, Entry, body_of, box_around, image_paths, joints_of, read_json
from rsn.datasets.extents import SMALLEST_BOX, image_size, usable_area
from rsn.datasets.findings import Kind, Report
from rsn.datasets.labelled import ImageFile, LabelledPerson
from rsn.datasets.mirrored import suspected_names, suspected_people
from rsn.errors import AnnotationError, ImageError
from rsn.image_formats import orientation_of
from rsn.images import read_image
from rsn.skeletons import Skeleton

SLACK = 1.0  # pixels outside the picture that are nobody's mistake: rounding, and pixels counted from 1

FIRST_ON_ITS_SIDE = 5  # of EXIF's orientations; 5 to 8 are turned by a quarter

Track = Callable[[Iterable[Any], int], Iterable[Any]]


def check_dataset(
    annotations: Path,
    images: Path,
    skeleton: Skeleton | None = None,
    *,
    sample: int | None = None,
    seed: int = 0,
    track: Track = lambda items, total: items,
) -> Report:
    """Look for mistakes in an annotation file and in its pictures.

    skeleton: the body, where the file's `categories` do not describe it. sample: how many pictures to open, chosen by
    `seed`; all of them where it is None. track: passes the pictures on behind a progress bar; it is given how many.

    Raises:
        AnnotationError: what makes it impossible to look further: no such file, not JSON, no COCO keypoints, no
            body, no folder of images.
    """
    if not images.is_dir():
        raise AnnotationError(f"{images}: there is no such folder of images")
    document = read_json(annotations)
    body = body_of(document, str(annotations), skeleton)
    check = _Check(Report(str(annotations), body.skeleton, len(document["images"]), {}), body)
    check.images(document["images"], images)
    check.annotations(document["annotations"])
    check.left_and_right()
    check.pictures(sample, seed, track)
    return check.finished()


@dataclass(frozen=True)
class _Listed:
    """An image that the file lists, with its (width, height) where it says so."""

    file: ImageFile
    size: tuple[float, float] | None


class _Check:
    """A report in the making."""

    def __init__(self, report: Report, body: Body) -> None:
        self.report = report
        self.body = body
        self.listed: dict[int | str, _Listed] = {}

    def found(self, kind: Kind, one: int | str, detail: str = "") -> None:
        self.report.findings.setdefault(kind, []).append(one)
        if detail:
            self.report.details[kind, one] = detail

    def images(self, entries: Iterable[Any], folder: Path) -> None:
        paths = image_paths(folder)
        for place, entry in enumerate(entries):
            try:
                one, path = entry["id"], paths(entry["file_name"])
                twice = one in self.listed
            except (KeyError, TypeError, AttributeError):
                self.found(kinds.BAD_IMAGE, f"number {place}")
                continue
            if twice:
                self.found(kinds.IMAGE_TWICE, one)
            else:
                self.listed[one] = _Listed(ImageFile(one, path), image_size(entry))

    def annotations(self, entries: Iterable[Any]) -> None:
        ids: set[int | str] = set()
        poses: dict[tuple[int | str, bytes], int | str] = {}
        for place, entry in enumerate(entries):
            if not isinstance(entry, dict) or not isinstance(entry.get("id"), int | str):
                self.found(kinds.BAD_ANNOTATION, f"number {place}")
                continue
            one = entry["id"]
            if one in ids:
                self.found(kinds.ANNOTATION_TWICE, one)
                continue
            ids.add(one)
            if not self.body.has(entry):
                self.found(kinds.OTHER_CATEGORY, one)
                continue
            person = self._person(entry)
            if person is None:
                continue
            if (person.visibility > 0).any():
                pose = person.image.id, person.keypoints.tobytes()
                if pose in poses:
                    self.found(kinds.SAME_PERSON, one, f"as {poses[pose]}")
                poses.setdefault(pose, one)
            self.report.people[one] = person
        if not any((person.visibility > 0).any() for person in self.report.people.values()):
            self.found(kinds.NOBODY, "nobody")

    def _person(self, entry: Entry) -> LabelledPerson | None:
        """The person as far as can be read; what is wrong on the way is found."""
        one, listed = entry["id"], self._image_of(entry)
        joints, box = self._joints(entry), self._box(entry)
        if listed is None or joints is None or box is None:
            if listed is None:
                self.found(kinds.NO_IMAGE, one, f"image {entry.get('image_id')!r}")
            return None
        if not entry.get("bbox"):
            box = np.asarray(box_around(joints, listed.size or (np.inf, np.inf)))
        for kind in _wrong_with(entry, joints, box, listed.size):
            self.found(kind, one)
        return LabelledPerson(
            listed.file,
            box,
            joints[:, :2].astype(np.float32),
            joints[:, 2].astype(np.int64),
            bool(entry.get("iscrowd")),
        )

    def _image_of(self, entry: Entry) -> _Listed | None:
        image = entry.get("image_id")
        return self.listed.get(image) if isinstance(image, int | str) else None

    def _joints(self, entry: Entry) -> NDArray[np.float64] | None:
        count = len(self.body.skeleton)
        try:
            joints = joints_of(entry)
        except (TypeError, ValueError):
            joints = np.full((1, 3), np.nan)
        if len(joints) == 0:
            return np.zeros((count, 3))
        if len(joints) != count or not np.isfinite(joints).all():
            self.found(kinds.BAD_JOINTS, entry["id"])
            return None
        if not np.isin(joints[:, 2], (0, 1, 2)).all():
            self.found(kinds.BAD_VISIBILITY, entry["id"])
        return joints

    def _box(self, entry: Entry) -> NDArray[np.float64] | None:
        if not entry.get("bbox"):
            return np.zeros(4)
        try:
            box = np.asarray(entry["bbox"], np.float64)
        except (TypeError, ValueError):
            box = np.full(4, np.nan)
        if box.shape != (4,) or not np.isfinite(box).all():
            self.found(kinds.BAD_BOX, entry["id"])
            return None
        return box

    def left_and_right(self) -> None:
        people = {one: person for one, person in self.report.people.items() if (person.visibility > 0).any()}
        if not people:
            return
        keypoints = np.stack([person.keypoints for person in people.values()])
        visibility = np.stack([person.visibility for person in people.values()])
        throughout = suspected_names(self.body.skeleton, keypoints, visibility)
        for sentence in throughout:
            self.found(kinds.SWAPPED, sentence)
        if not throughout:  # which would make suspects of everybody
            suspects = suspected_people(self.body.skeleton, keypoints, visibility)
            for one, suspect in zip(people, suspects, strict=True):
                if suspect:
                    self.found(kinds.MIRRORED, one)

    def pictures(self, sample: int | None, seed: int, track: Track) -> None:
        peopled = {person.image.id for person in self.report.people.values()}
        for one in self.listed:
            if one not in peopled:
                self.found(kinds.NO_PEOPLE, one)
        there = [listed for listed in self.listed.values() if listed.file.path.is_file()]
        for one, listed in self.listed.items():
            if not listed.file.path.is_file():
                self.found(kinds.ABSENT, one, listed.file.path.name)
        if sample is not None and sample < len(there):
            chosen = set(random.Random(seed).sample(range(len(there)), sample))
            for number, listed in enumerate(there):
                if number not in chosen:
                    self.found(kinds.NOT_OPENED, listed.file.id)
            there = [there[number] for number in sorted(chosen)]
        contents: dict[bytes, int | str] = {}
        with ThreadPoolExecutor(cpu_count()) as threads:
            for listed, looked in track(zip(there, threads.map(_look, there), strict=True), len(there)):
                self._picture(listed, looked, contents)

    def _picture(
        self, listed: _Listed, looked: "_Look | ImageError", contents: dict[bytes, int | str]
    ) -> None:
        one = listed.file.id
        if isinstance(looked, ImageError):
            self.found(kinds.UNREADABLE, one, listed.file.path.name)
            return
        if self._is_unrotated(listed, looked):
            self.found(kinds.UNROTATED, one, "upright it is {} x {}".format(*looked.size))
        elif listed.size is not None and listed.size != looked.size:
            said, real = ("{:g} x {:g}".format(*size) for size in (listed.size, looked.size))
            self.found(kinds.OTHER_SIZE, one, f"{said}, really {real}")
        elif looked.orientation > 1 and not (looked.on_its_side and listed.size):
            self.found(kinds.ROTATED, one)
        if looked.content in contents:
            self.found(kinds.SAME_PICTURE, one, f"as {contents[looked.content]}")
        contents.setdefault(looked.content, one)

    def _is_unrotated(self, listed: _Listed, looked: "_Look") -> bool:
        """Whether the labels were made on the stored image, which lies on its side: by the size, else by keypoints."""
        width, height = looked.size
        if looked.orientation < FIRST_ON_ITS_SIDE:
            return False
        if listed.size is not None and looked.on_its_side:
            return listed.size == (height, width)
        marked = [
            person.keypoints[person.visibility > 0]
            for person in self.report.people.values()
            if person.image.id == listed.file.id
        ]
        points = np.concatenate([np.zeros((1, 2)), *marked])
        outside, inside = (
            _outside(points, np.zeros(2), np.asarray(size), slack=SLACK)
            for size in ((width, height), (height, width))
        )
        return bool(outside.any() and not inside.any())

    def finished(self) -> Report:
        """The report, with the findings in the order of their kinds."""
        order = [kind for kind in vars(kinds).values() if isinstance(kind, Kind)]
        found = {kind: self.report.findings[kind] for kind in order if kind in self.report.findings}
        self.report.findings.clear()
        self.report.findings.update(found)
        return self.report


@dataclass(frozen=True)
class _Look:
    """What an image is like: (width, height) in pixels once it is upright, a hash of the pixels, EXIF's orientation."""

    size: tuple[int, int]
    content: bytes
    orientation: int

    @property
    def on_its_side(self) -> bool:
        """Whether width and height tell the stored image from the upright one."""
        return self.orientation >= FIRST_ON_ITS_SIDE and self.size[0] != self.size[1]


def _look(listed: _Listed) -> _Look | ImageError:
    try:
        pixels = read_image(listed.file.path)
        orientation = orientation_of(listed.file.path.read_bytes())
    except ImageError as error:
        return error
    content = blake2b(pixels.tobytes(), digest_size=16, key=str(pixels.shape).encode())
    return _Look((pixels.shape[1], pixels.shape[0]), content.digest(), orientation)


def _wrong_with(
    entry: Entry, joints: NDArray[np.float64], box: NDArray[np.float64], size: tuple[float, float] | None
) -> Iterator[Kind]:
    """What joints (K, 3) and box (4,) of an annotation say about each other and about the picture's size."""
    marked = joints[:, 2] > 0
    if entry.get("iscrowd"):
        yield kinds.CROWD
        return
    if not marked.any():
        yield kinds.NO_JOINTS
        return
    if not entry.get("bbox"):
        yield kinds.NO_BOX
    if entry.get("area") is None:
        yield kinds.NO_AREA
    elif usable_area(entry["area"], box.tolist()) is None:
        yield kinds.BAD_AREA
    if entry.get("num_keypoints") not in (None, int(marked.sum())):
        yield kinds.OTHER_COUNT
    if min(box[2:]) < SMALLEST_BOX:
        yield kinds.EMPTY_BOX
    elif _outside(joints[marked, :2], box[:2], box[2:], slack=0.1 * max(box[2:])).mean() >= 0.5:
        yield kinds.FAR_FROM_BOX
    if size is None:
        return
    outside = _outside(joints[:, :2], np.zeros(2), np.asarray(size), slack=SLACK)
    if (outside & (joints[:, 2] == 2)).any():
        yield kinds.JOINT_OUTSIDE
    if (outside & (joints[:, 2] == 1)).any():
        yield kinds.OCCLUDED_OUTSIDE
    if (box[:2] >= size).any() or (box[:2] + box[2:] <= 0).any():
        yield kinds.BOX_OUTSIDE
    elif (box[:2] < -SLACK).any() or (box[:2] + box[2:] > np.asarray(size) + SLACK).any():
        yield kinds.BOX_BEYOND


def _outside(
    points: NDArray[np.float64], corner: NDArray[np.float64], extent: NDArray[np.float64], *, slack: float
) -> NDArray[np.bool_]:
    """Which of the points (N, 2) lie outside a rectangle by more than some pixels."""
    return np.asarray(((points < corner - slack) | (points > corner + extent + slack)).any(1))
