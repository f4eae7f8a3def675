"""Read a COCO-keypoints document into checked records.

Training, evaluation, submissions and `rsn data check` all read documents here, so that they accept the same files and
report the same issues. Values that tools write in different forms are accepted where they have only one meaning: ids
and numbers as text, keypoints as triples, `iscrowd` as a word.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsn.data import issues as kinds
from rsn.data.annotations import ImageFile, PersonAnnotation
from rsn.data.categories import SkeletonCategories, resolve_skeleton
from rsn.data.issues import Issues
from rsn.data.references import References
from rsn.data.values import (
    AREA_PER_BOX,
    MIN_BOX_SIZE,
    Id,
    display_id,
    image_size,
    is_crowd,
    is_empty_box,
    is_outside,
    normalize_id,
    usable_area,
    within_first_pixel,
)
from rsn.errors import AnnotationError
from rsn.skeletons import Skeleton

# Median of box / extent of the keypoints (width, height), of COCO's people with ten keypoints or more.
BOX_PER_KEYPOINTS = (1.3, 1.2)
TOLERANCE = 1.0  # pixels outside the image: rounding, and pixels counted from 1
FAR = 0.1  # of the longer side of a box: distance of a keypoint that is far outside of it

_VISIBILITIES = frozenset({-1.0, 0.0, 1.0, 2.0})
_WARNINGS = (
    kinds.NO_BOX,
    kinds.EMPTY_BOX,
    kinds.KEYPOINT_COUNT_MISMATCH,
    kinds.UNLISTED_CATEGORY,
    kinds.NO_FLIP_PAIR,
    kinds.INVALID_LIMBS,
)
_AREA_WARNINGS = (kinds.NO_AREA, kinds.INVALID_AREA)
POSITION_WARNINGS = (kinds.BOX_OUTSIDE, kinds.KEYPOINT_OUTSIDE, kinds.DUPLICATE_PERSON)


@dataclass(frozen=True)
class ListedImage:
    """An image that a document lists.

    id: as results refer to it. name: its file_name, None if it has none. size: (width, height) in pixels, None if the
    document has no valid one.
    """

    id: Id
    name: str | None
    size: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class Annotation:
    """An annotated person of a document.

    keypoints: (K, 3) x, y in image pixels and visibility (0, 1, 2; -1 unknown), in the order of the skeleton; zeros if
    there are none. box: (4,) x, y, width, height in image pixels; if the document has none, or one of less than a
    pixel, a box around the marked keypoints. area: in square pixels; if the document has no valid one, a fraction of
    the box.
    """

    id: Id
    image: ListedImage
    keypoints: NDArray[np.float64]
    box: NDArray[np.float64]
    area: float
    crowd: bool

    @property
    def marked(self) -> int:
        """The number of marked keypoints."""
        return int((self.keypoints[:, 2] > 0).sum())

    def to_person(self, file: ImageFile) -> PersonAnnotation:
        """The person in an image on disk."""
        points, visibility = self.keypoints[:, :2], self.keypoints[:, 2]
        return PersonAnnotation(file, self.box, points.astype(np.float32), visibility.astype(np.int64), self.crowd)


@dataclass(frozen=True, eq=False)
class Records:
    """What a document contains of one skeleton.

    references: finds images by id and file name. annotations: the valid ones. issues: what is wrong with the document.
    skipped: number of annotations of other categories, by reason.
    """

    where: str
    categories: SkeletonCategories
    images: list[ListedImage]
    references: References
    annotations: list[Annotation]
    issues: Issues
    skipped: dict[str, int]

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton of the annotations."""
        return self.categories.skeleton

    def check(self, *, areas: bool = False) -> "Records":
        """The records themselves; issues RsnWarnings about derived and ignored values, with `areas` also of areas.

        Raises:
            AnnotationError: the document has errors or no annotations.
        """
        self.issues.raise_errors(self.where)
        if not self.annotations and not self.skipped:
            raise AnnotationError(f"{self.where}: has no annotations; is it the right file?")
        self.issues.warn(self.where, _WARNINGS + (_AREA_WARNINGS if areas else ()))
        return self

    def check_positions(self) -> None:
        """Add issues about keypoints, boxes and image sizes that do not fit each other."""
        people = [person for person in self.annotations if not person.crowd and person.marked]
        if not people:
            return
        keypoints = np.stack([person.keypoints for person in people])  # (N, K, 3)
        boxes = np.stack([person.box for person in people])
        sizes = np.asarray([person.image.size or (np.nan, np.nan) for person in people])
        known = np.isfinite(sizes).all(1)
        points, visibility = keypoints[..., :2], keypoints[..., 2]
        low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
        margin = FAR * boxes[:, 2:].max(1)[:, None, None]
        far = ((points < low[:, None] - margin) | (points > high[:, None] + margin)).any(2) & (visibility > 0)
        beyond = points_outside(points, sizes[:, None]) & known[:, None]
        outside = np.asarray([is_outside(person.box.tolist(), person.image.size) for person in people])
        exceeds = known & ((low < -TOLERANCE) | (high > sizes + TOLERANCE)).any(1)
        valid = boxes[:, 2:].min(1) >= MIN_BOX_SIZE
        found = {
            kinds.KEYPOINT_FAR_FROM_BOX: valid & (far.sum(1) >= 0.5 * (visibility > 0).sum(1)),
            kinds.KEYPOINT_OUTSIDE: (beyond & (visibility == 2)).any(1),
            kinds.OCCLUDED_OUTSIDE: (beyond & (visibility == 1)).any(1),
            kinds.BOX_OUTSIDE: outside,
            kinds.BOX_EXCEEDS_IMAGE: exceeds & ~outside,
        }
        for kind, applies in found.items():
            for index in np.flatnonzero(applies):
                self.issues.add(kind, people[index].id)
        first: dict[tuple[Id, bytes], Id] = {}
        for person in people:
            pose = person.image.id, person.keypoints[:, :2].tobytes()
            if pose in first:
                self.issues.add(kinds.DUPLICATE_PERSON, person.id, f"as {first[pose]}")
            first.setdefault(pose, person.id)


def points_outside(points: NDArray[np.floating[Any]], sizes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points (..., 2) are more than `TOLERANCE` outside of images of (width, height) (..., 2)."""
    return np.asarray(((points < -TOLERANCE) | (points > sizes + TOLERANCE)).any(-1))


def read_records(document: Any, where: str, skeleton: Skeleton | None = None) -> Records:
    """Read a document (parsed JSON); what is wrong with single images and annotations is added to the issues.

    skeleton: see `resolve_skeleton`.

    Raises:
        AnnotationError: not a COCO-keypoints document, or not of this skeleton.
    """
    categories = resolve_skeleton(document, where, skeleton)
    issues = Issues()
    for remark in categories.remarks:
        issues.add(kinds.INVALID_LIMBS, remark)
    for name in categories.skeleton.unpaired:
        issues.add(kinds.NO_FLIP_PAIR, name)
    images = read_images(document, issues)
    reader = _Reader(categories, images, issues)
    reader.read(document["annotations"])
    return Records(where, categories, images, reader.references, reader.annotations, issues, reader.skipped)


def read_images(document: Any, issues: Issues) -> list[ListedImage]:
    """The images that a document lists; those without a unique id are added to the issues instead."""
    seen: set[Id] = set()
    images: list[ListedImage] = []
    for index, entry in enumerate(document["images"]):
        shown = display_id(entry.get("id")) if isinstance(entry, dict) else None
        one = normalize_id(shown)
        if shown is None or one is None:
            issues.add(kinds.INVALID_IMAGE_ENTRY, f"number {index}")
        elif one in seen:
            issues.add(kinds.DUPLICATE_IMAGE_ID, shown)
        else:
            seen.add(one)
            name = entry.get("file_name")
            has_name = isinstance(name, str) and bool(name.strip())
            images.append(ListedImage(shown, name if has_name else None, image_size(entry)))
    return images


def box_around(keypoints: NDArray[np.float64], size: tuple[float, float] | None) -> NDArray[np.float64]:
    """A box x, y, width, height around the marked of keypoints (K, 3), within an image of (width, height) pixels.

    Zeros if none is marked.
    """
    marked = keypoints[keypoints[:, 2] > 0, :2]
    if not len(marked):
        return np.zeros(4)
    margin = np.ptp(marked, axis=0) * (np.array(BOX_PER_KEYPOINTS) - 1) / 2
    low = np.clip(marked.min(0) - margin, 0, size or np.inf)
    high = np.clip(marked.max(0) + margin, 0, size or np.inf)
    return np.concatenate([low, high - low])


class _Reader:
    """Reads the annotations of a document."""

    def __init__(self, categories: SkeletonCategories, images: list[ListedImage], issues: Issues) -> None:
        self.categories = categories
        self.images = images
        self.references = References([image.id for image in images], [image.name for image in images])
        self.issue = issues.add
        self.annotations: list[Annotation] = []
        self.skipped: dict[str, int] = {}

    def read(self, entries: Sequence[Any]) -> None:
        seen: set[Id] = set()
        for index, entry in enumerate(entries):
            if not isinstance(entry, dict):
                self.issue(kinds.INVALID_ANNOTATION, f"number {index}")
                continue
            one, shown = normalize_id(entry.get("id")), display_id(entry.get("id"))
            if one is None or shown is None:
                shown = f"number {index}"
                self.issue(kinds.NO_ID, shown)
            elif one in seen:
                self.issue(kinds.DUPLICATE_ANNOTATION_ID, shown)
                continue
            else:
                seen.add(one)
            if self._has_skeleton(shown, entry.get("category_id")):
                self._read_person(shown, entry)

    def _has_skeleton(self, shown: Id, category: Any) -> bool:
        if self.categories.has_category(category):
            return True
        if self.categories.lists_category(category):
            reason = "of a category without these keypoints"
            self.issue(kinds.OTHER_CATEGORY, shown)
        else:
            reason = "of a category that is not listed"
            self.issue(kinds.UNLISTED_CATEGORY, shown, f"category {category!r}")
        self.skipped[reason] = self.skipped.get(reason, 0) + 1
        return False

    def _read_person(self, shown: Id, entry: dict[str, Any]) -> None:
        image, keypoints = self._image(shown, entry), self._keypoints(shown, entry)
        box, crowd = self._box(shown, entry), is_crowd(entry.get("iscrowd"))
        if crowd is None:
            self.issue(kinds.INVALID_CROWD, shown, repr(entry["iscrowd"])[:20])
        if image is None or keypoints is None or box is None or crowd is None:
            return
        marked = int((keypoints[:, 2] > 0).sum())
        has_pose = not crowd and marked > 0
        if has_pose and is_empty_box(box.tolist()):
            self.issue(kinds.EMPTY_BOX if box.any() else kinds.NO_BOX, shown)
            around = box_around(keypoints, image.size)
            box = box if is_empty_box(around.tolist()) and box.any() else around
        area = usable_area(entry.get("area"), box.tolist())
        if area is None:
            area = float(AREA_PER_BOX * max(box[2], 0) * max(box[3], 0))
            if has_pose:
                self.issue(kinds.NO_AREA if entry.get("area") is None else kinds.INVALID_AREA, shown)
        count = entry.get("num_keypoints")
        if has_pose and count is not None and normalize_id(count) != marked:
            self.issue(kinds.KEYPOINT_COUNT_MISMATCH, shown)
        if not has_pose:
            self.issue(kinds.CROWD if crowd else kinds.NO_KEYPOINTS, shown)
        self.annotations.append(Annotation(shown, image, keypoints, box, area, crowd))

    def _image(self, shown: Id, entry: dict[str, Any]) -> ListedImage | None:
        detail = f"image {entry.get('image_id')!r}"[:60]
        try:
            index = self.references.by_id(entry.get("image_id"))
        except AnnotationError as error:  # several images match
            index, detail = None, str(error)
        if index is None:
            self.issue(kinds.UNLISTED_IMAGE, shown, detail)
            return None
        return self.images[index]

    def _keypoints(self, shown: Id, entry: dict[str, Any]) -> NDArray[np.float64] | None:
        count = len(self.categories.skeleton)
        given = entry.get("keypoints")
        if given is None or (isinstance(given, list) and not given):
            return np.zeros((count, 3))
        keypoints = _to_array(given)
        if keypoints is None or keypoints.size != 3 * count:
            detail = "" if keypoints is None else f"{keypoints.size} numbers, not {3 * count}"
            self.issue(kinds.INVALID_KEYPOINTS, shown, detail)
            return None
        keypoints = keypoints.reshape(count, 3)
        if not math.isfinite(keypoints.sum()):  # faster than checking each number
            # null and NaN are absent keypoints, unless they are marked.
            absent = ~np.isfinite(keypoints[:, :2]).all(1) & ~(keypoints[:, 2] > 0)
            keypoints[absent] = 0
            if not np.isfinite(keypoints).all():
                self.issue(kinds.INVALID_KEYPOINTS, shown, "a number that is not finite")
                return None
        if not _VISIBILITIES.issuperset(keypoints[:, 2].tolist()):
            self.issue(kinds.INVALID_VISIBILITY, shown)
            return None
        if within_first_pixel(keypoints[keypoints[:, 2] > 0]):
            self.issue(kinds.NORMALIZED, shown)
            return None
        return self.categories.reorder(keypoints, entry.get("category_id"))

    def _box(self, shown: Id, entry: dict[str, Any]) -> NDArray[np.float64] | None:
        given = entry.get("bbox")
        if not given:
            return np.zeros(4)
        box = _to_array(given)
        if box is not None and None in given and np.isnan(box).all():
            return np.zeros(4)
        if box is None or box.size != 4 or not all(map(math.isfinite, box.ravel().tolist())):
            self.issue(kinds.INVALID_BOX, shown)
            return None
        return box.ravel()


def _to_array(value: Any) -> NDArray[np.float64] | None:
    """An array of a list of numbers, of lists, or of texts; NaN for null. None for anything else."""
    if not isinstance(value, list | tuple):
        return None
    try:
        return np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
