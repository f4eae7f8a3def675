"""A COCO-keypoints document as checked records.

Training, evaluation, submissions and `rsn data check` all read through here, so that what one accepts the others
accept, and what is wrong is said in the same words. Tools write ids as numbers or texts, numbers as texts, keypoints as
triples, crowds as words: whatever has one meaning only is read, and all else is a finding.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsn.data import issues as kinds
from rsn.data.annotations import ImageFile, PersonAnnotation
from rsn.data.box_values import AREA_OF_BOX, image_size, is_empty_box, usable_area, within_first_pixel
from rsn.data.categories import SkeletonCategories, resolve_skeleton
from rsn.data.issues import Issues
from rsn.data.references import Id, References, listed_id, plain_id
from rsn.errors import AnnotationError
from rsn.skeletons import Skeleton

# Median factors from the extent of the keypoints (width, height) to the box, among COCO's people with ten keypoints or more.
BOX_AROUND_KEYPOINTS = (1.3, 1.2)

_VISIBILITIES = frozenset({0.0, 1.0, 2.0})
_WORDS = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}
_DERIVED = (kinds.NO_BOX, kinds.EMPTY_BOX)
_TOLD = (
    *_DERIVED,
    kinds.KEYPOINT_COUNT_MISMATCH,
    kinds.UNLISTED_CATEGORY,
    kinds.NO_FLIP_PAIR,
    kinds.INVALID_LIMBS,
)


@dataclass(frozen=True)
class ListedImage:
    """An image as a document lists it.

    id: as results refer to it. name: its file_name, None where there is none. size: (width, height) in pixels, None
    where the document does not tell a possible one.
    """

    id: Id
    name: str | None
    size: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class Annotation:
    """An annotated person.

    keypoints: (K, 3) x, y in image pixels and visibility (0, 1, 2), in the order of the skeleton; zeros where there are
    none. box: (4,) x, y, width, height in image pixels; where the document has none, or one of less than a pixel, that
    around the marked keypoints, and zeros where there is nothing to draw it around. area: in square pixels; where the
    document's cannot be right, a share of the box.
    """

    id: Id
    image: ListedImage
    keypoints: NDArray[np.float64]
    box: NDArray[np.float64]
    area: float
    crowd: bool

    @property
    def marked(self) -> int:
        """How many keypoints are marked."""
        return int((self.keypoints[:, 2] > 0).sum())

    def labeled(self, file: ImageFile) -> PersonAnnotation:
        """The person in an image on disk."""
        keypoints, visibility = (
            self.keypoints[:, :2].astype(np.float32),
            self.keypoints[:, 2].astype(np.int64),
        )
        return PersonAnnotation(file, self.box, keypoints, visibility, self.crowd)


@dataclass(frozen=True, eq=False)
class Records:
    """What a document holds of one skeleton, and what was found wrong on the way.

    references: what finds images by id and file name. annotations: those that can be used. skipped: how many
    annotations are of other categories, by reason.
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
        """The skeleton's."""
        return self.categories.skeleton

    def checked(self, *, areas: bool = False) -> "Records":
        """The records themselves; what was derived or ignored is said by an RsnWarning, with `areas` also of areas.

        Raises:
            AnnotationError: anything in them that is an error, or no annotation at all.
        """
        self.issues.refuse(self.where)
        if not self.annotations and not self.skipped:
            raise AnnotationError(f"{self.where}: lists nobody; is it the right file?")
        self.issues.tell(self.where, (*_TOLD, *((kinds.NO_AREA, kinds.INVALID_AREA) if areas else ())))
        return self


def read_records(document: Any, where: str, skeleton: Skeleton | None = None) -> Records:
    """Read a document (parsed JSON); all that is wrong with single images and annotations is among the findings.

    skeleton: the skeleton, see `resolve_skeleton`. With the keypoints of the document in another order, they are put in its order.

    Raises:
        AnnotationError: not a COCO keypoints document, or not of this skeleton (see `resolve_skeleton`).
    """
    categories = resolve_skeleton(document, where, skeleton)
    issues = Issues()
    for remark in categories.remarks:
        issues.add(kinds.INVALID_LIMBS, remark)
    for keypoint in categories.skeleton.unpaired:
        issues.add(kinds.NO_FLIP_PAIR, keypoint)
    images = read_images(document, issues)
    reading = _Reading(categories, images, issues)
    reading.read(document["annotations"])
    return Records(
        where, categories, images, reading.references, reading.annotations, issues, reading.skipped
    )


def is_crowd(value: Any) -> bool | None:
    """What an `iscrowd` says, in whatever form; None where that cannot be told."""
    if isinstance(value, str):
        value = _WORDS.get(value.strip().lower(), value)
    plain = 0 if value is None else value if isinstance(value, bool) else plain_id(value)
    return None if not isinstance(plain, int) else bool(plain)


def box_around(keypoints: NDArray[np.float64], size: tuple[float, float] | None) -> NDArray[np.float64]:
    """A box x, y, width, height around the marked ones of keypoints (K, 3), within an image of (width, height) pixels.

    Zeros where none is marked.
    """
    marked = keypoints[keypoints[:, 2] > 0, :2]
    if not len(marked):
        return np.zeros(4)
    margin = np.ptp(marked, axis=0) * (np.array(BOX_AROUND_KEYPOINTS) - 1) / 2
    low = np.clip(marked.min(0) - margin, 0, size or np.inf)
    high = np.clip(marked.max(0) + margin, 0, size or np.inf)
    return np.concatenate([low, high - low])


def read_images(document: Any, issues: Issues) -> list[ListedImage]:
    """The images that a document lists, without those that have no id of their own, which go to the findings."""
    seen: set[Id] = set()
    images: list[ListedImage] = []
    for place, entry in enumerate(document["images"]):
        one = listed_id(entry.get("id")) if isinstance(entry, dict) else None
        plain = plain_id(one)
        if one is None or plain is None:
            issues.add(kinds.INVALID_IMAGE_ENTRY, f"number {place}")
        elif plain in seen:
            issues.add(kinds.DUPLICATE_IMAGE_ID, one)
        else:
            seen.add(plain)
            name = entry.get("file_name")
            named = isinstance(name, str) and bool(name.strip())
            images.append(ListedImage(one, name if named else None, image_size(entry)))
    return images


class _Reading:
    """Annotations in the making."""

    def __init__(self, categories: SkeletonCategories, images: list[ListedImage], issues: Issues) -> None:
        self.categories = categories
        self.images = images
        self.references = References([image.id for image in images], [image.name for image in images])
        self.found = issues.add
        self.annotations: list[Annotation] = []
        self.skipped: dict[str, int] = {}

    def read(self, entries: Sequence[Any]) -> None:
        seen: set[Id] = set()
        for place, entry in enumerate(entries):
            if not isinstance(entry, dict):
                self.found(kinds.INVALID_ANNOTATION, f"number {place}")
                continue
            plain, one = plain_id(entry.get("id")), listed_id(entry.get("id"))
            if plain is None or one is None:
                one = f"number {place}"
                self.found(kinds.NO_ID, one)
            elif plain in seen:
                self.found(kinds.DUPLICATE_ANNOTATION_ID, one)
                continue
            else:
                seen.add(plain)
            if self._is_of_skeleton(one, entry.get("category_id")):
                self._read_person(one, entry)

    def _is_of_skeleton(self, one: Id, category: Any) -> bool:
        if self.categories.has_category(category):
            return True
        if self.categories.lists_category(category):
            kind, reason = kinds.OTHER_CATEGORY, "of a category without these keypoints"
            self.found(kind, one)
        else:
            kind, reason = kinds.UNLISTED_CATEGORY, "of a category that is not listed"
            self.found(kind, one, f"category {category!r}")
        self.skipped[reason] = self.skipped.get(reason, 0) + 1
        return False

    def _read_person(self, one: Id, entry: dict[str, Any]) -> None:
        image, keypoints = self._image_of(one, entry), self._keypoints(one, entry)
        box, crowd = self._box(one, entry), is_crowd(entry.get("iscrowd"))
        if crowd is None:
            self.found(kinds.INVALID_CROWD, one, repr(entry["iscrowd"])[:20])
        if image is None or keypoints is None or box is None or crowd is None:
            return
        marked = int(np.count_nonzero(keypoints[:, 2]))
        counts = not crowd and marked > 0
        box = self._completed(one, box, keypoints, image.size, counts)
        area = self._area(one, entry.get("area"), box, counts)
        told = entry.get("num_keypoints")
        if counts and told is not None and plain_id(told) != marked:
            self.found(kinds.KEYPOINT_COUNT_MISMATCH, one)
        if crowd:
            self.found(kinds.CROWD, one)
        elif not counts:
            self.found(kinds.NO_KEYPOINTS, one)
        self.annotations.append(Annotation(one, image, keypoints, box, area, crowd))

    def _image_of(self, one: Id, entry: dict[str, Any]) -> ListedImage | None:
        detail = f"image {entry.get('image_id')!r}"[:60]
        try:
            place = self.references.by_id(entry.get("image_id"))
        except AnnotationError as error:  # it could be several
            place, detail = None, str(error)
        if place is None:
            self.found(kinds.UNLISTED_IMAGE, one, detail)
            return None
        return self.images[place]

    def _keypoints(self, one: Id, entry: dict[str, Any]) -> NDArray[np.float64] | None:
        count = len(self.categories.skeleton)
        given = entry.get("keypoints")
        if given is None or (isinstance(given, list) and not given):
            return np.zeros((count, 3))
        keypoints = _numbers(given)
        if keypoints is None or keypoints.size != 3 * count:
            detail = "" if keypoints is None else f"{keypoints.size} numbers, not {3 * count}"
            self.found(kinds.INVALID_KEYPOINTS, one, detail)
            return None
        keypoints = keypoints.reshape(count, 3)
        if not math.isfinite(keypoints.sum()):  # quicker than a look at each
            nowhere = ~np.isfinite(keypoints[:, :2]).all(1) & ~(
                keypoints[:, 2] > 0
            )  # as null and NaN say, too
            keypoints[nowhere] = 0
            if not np.isfinite(keypoints).all():
                self.found(kinds.INVALID_KEYPOINTS, one, "a number that is not finite")
                return None
        if not _VISIBILITIES.issuperset(keypoints[:, 2].tolist()):
            self.found(kinds.INVALID_VISIBILITY, one)
            return None
        if within_first_pixel(keypoints[keypoints[:, 2] > 0]):
            self.found(kinds.NORMALIZED, one)
            return None
        return self.categories.ordered_map(keypoints, entry.get("category_id"))

    def _box(self, one: Id, entry: dict[str, Any]) -> NDArray[np.float64] | None:
        given = entry.get("bbox")
        if not given:
            return np.zeros(4)
        box = _numbers(given)
        if box is not None and None in given and np.isnan(box).all():
            return np.zeros(4)
        if box is None or box.size != 4 or not all(map(math.isfinite, box.ravel().tolist())):
            self.found(kinds.INVALID_BOX, one)
            return None
        return box.ravel()

    def _completed(
        self, one: Id, box: NDArray[np.float64], keypoints: NDArray[np.float64], size: Any, counts: bool
    ) -> NDArray[np.float64]:
        """The box, or that around the keypoints where it is too small to be one."""
        if not counts or not is_empty_box(box.tolist()):
            return box
        self.found(kinds.EMPTY_BOX if box.any() else kinds.NO_BOX, one)
        around = box_around(keypoints, size)
        return box if is_empty_box(around.tolist()) and box.any() else around

    def _area(self, one: Id, given: Any, box: NDArray[np.float64], counts: bool) -> float:
        area = usable_area(given, box.tolist())
        if area is not None:
            return area
        if counts:
            self.found(kinds.NO_AREA if given is None else kinds.INVALID_AREA, one)
        return float(AREA_OF_BOX * max(box[2], 0) * max(box[3], 0))


def _numbers(value: Any) -> NDArray[np.float64] | None:
    """Numbers from a list of them, or of lists, or of texts; NaN for null. None for anything else."""
    if not isinstance(value, list | tuple):
        return None
    try:
        return np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
