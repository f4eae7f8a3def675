"""The issues that a dataset can have, and the report of them."""

import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rsn.data.annotations import PersonAnnotation
from rsn.errors import AnnotationError, RsnWarning
from rsn.skeletons import Skeleton

Level = Literal["error", "warning", "note"]
_VISIBILITIES = ("visible", "occluded", "absent", "unknown")
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
_MAX_LISTED = 8  # ids in one line


@dataclass(frozen=True)
class IssueType:
    """A type of issue.

    level: an error is certainly wrong; a warning may be right; a note is only information. of: what the ids of an issue
    belong to. message: follows a count. advice: what to do.
    """

    level: Level
    of: Literal["image", "annotation", "set"]
    message: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.message} ({self.advice})" if self.advice else self.message


# fmt: off
MISSING_IMAGE = IssueType("error", "image",
    "images that are not in the folder", "name their folder with --images, or copy them")
UNREADABLE = IssueType("error", "image", "images that cannot be read", "copy them again, or remove them from the file")
SIZE_MISMATCH = IssueType("error", "image",
    "images of another size than the file says", "scale keypoints and boxes with the images")
EXIF_IGNORED = IssueType("error", "image",
    "images annotated without the rotation of their EXIF data, which rsn and image viewers apply",
    "rotate the annotations, or remove the orientation from the EXIF data")
DUPLICATE_IMAGE_ID = IssueType("error", "image", "repeated image ids", "give every image its own")
INVALID_IMAGE_ENTRY = IssueType("error", "set", "images without id or file_name", "each needs both")
DUPLICATE_ANNOTATION_ID = IssueType("error", "annotation", "repeated annotation ids", "give every annotation its own")
INVALID_ANNOTATION = IssueType("error", "set", "annotations that are no mapping", "write keypoints and an image_id")
UNLISTED_IMAGE = IssueType("error", "annotation", "people in images that the file does not list", "list the images")
INVALID_KEYPOINTS = IssueType("error", "annotation",
    "keypoints that are not x, y, visibility for each of the skeleton", "write 3 numbers per keypoint")
NORMALIZED = IssueType("error", "annotation",
    "people whose keypoints are fractions of the image", "multiply them by width and height to get pixels")
INVALID_VISIBILITY = IssueType("error", "annotation",
    "visibilities other than 0, 1, 2 or -1", "0 absent, 1 occluded, 2 visible, -1 unknown")
INVALID_CROWD = IssueType("error", "annotation", "iscrowd other than 0 or 1", "write 0 for a single person")
INVALID_BOX = IssueType("error", "annotation", "boxes that are not x, y, width, height", "write 4 finite numbers")
BOX_OUTSIDE = IssueType("error", "annotation", "boxes outside their image", "do they belong to this image?")
KEYPOINT_OUTSIDE = IssueType("error", "annotation",
    "people with visible keypoints outside the image", "move them, or give them visibility 0")
DUPLICATE_PERSON = IssueType("error", "annotation", "people annotated twice with the same keypoints", "keep one")
NO_ANNOTATIONS = IssueType("error", "set", "dataset without usable keypoints", "is it the right file?")
DUPLICATE_IMAGE = IssueType("warning", "image",
    "images with the same content as another", "keep one, with all of its people in one split")
LEFT_RIGHT_CONFLICT = IssueType("warning", "annotation",
    "people whose left and right contradict each other", "left is the person's own left")
LEFT_RIGHT_SWAPPED = IssueType("warning", "set",
    "swaps of left and right in the whole set", "look at them with rsn data preview")
OCCLUDED_OUTSIDE = IssueType("warning", "annotation",
    "people with occluded keypoints outside the image", "they cannot be learned")
KEYPOINT_FAR_FROM_BOX = IssueType("warning", "annotation",
    "people with half of their keypoints outside their box", "do both belong to the same person?")
KEYPOINT_COUNT_MISMATCH = IssueType("warning", "annotation",
    "num_keypoints that differ from the number of marked keypoints", "it is not used")
EMPTY_BOX = IssueType("warning", "annotation",
    "people with a box of less than a pixel, who get one around their keypoints", "write pixels, or no box")
NO_FLIP_PAIR = IssueType("warning", "set",
    "keypoints whose names say left or right, but that have no counterpart",
    "a flipped image does not exchange them; rename them, or give flip_pairs")
INVALID_LIMBS = IssueType("warning", "set", "remarks on the limbs", "they are only drawn")
UNLISTED_CATEGORY = IssueType("warning", "annotation",
    "annotations of categories that the file does not list, skipped", "compare the ids of both lists")
INVALID_AREA = IssueType("warning", "annotation",
    "people with an invalid area, who get 0.53 x the area of their box", "write square pixels of the image")
BOX_EXCEEDS_IMAGE = IssueType("note", "annotation", "boxes that extend beyond the image")
NO_BOX = IssueType("note", "annotation", "people without a box, who get one around their keypoints")
NO_AREA = IssueType("note", "annotation", "people without an area, who get 0.53 x the area of their box")
NO_ID = IssueType("note", "set", "annotations without an id, which get their index")
FILE_NAME_SPELLING = IssueType("note", "image", "images found by another spelling of their name, or in another folder")
NO_KEYPOINTS = IssueType("note", "annotation", "people without marked keypoints, not used in training")
CROWD = IssueType("note", "annotation", "crowds, not used in training")
OTHER_CATEGORY = IssueType("note", "annotation", "annotations of categories without these keypoints")
EXIF_ROTATED = IssueType("note", "image",
    "images rotated by their EXIF data", "the annotations must be of the upright image")
NO_PEOPLE = IssueType("note", "image", "images without people")
NOT_OPENED = IssueType("note", "image", "images that were not opened", "without --sample all are opened")
# fmt: on
_ORDER = [kind for kind in list(globals().values()) if isinstance(kind, IssueType)]


@dataclass(frozen=True, eq=False)
class Issues:
    """The issues of a dataset.

    ids: of images or annotations, or sentences, by type of issue. details: about single ids.
    """

    ids: dict[IssueType, list[int | str]] = field(default_factory=dict)
    details: dict[tuple[IssueType, int | str], str] = field(default_factory=dict)

    def add(self, kind: IssueType, one: int | str, detail: str = "") -> None:
        """Add an issue of one image or annotation."""
        self.ids.setdefault(kind, []).append(one)
        if detail:
            self.details[kind, one] = detail

    def sort(self) -> None:
        """Put the issues into the order of their types in this module."""
        ordered = {kind: self.ids[kind] for kind in _ORDER if kind in self.ids}
        self.ids.clear()
        self.ids.update(ordered)

    def describe(self, kind: IssueType) -> list[str]:
        """The ids of a type, each with its detail."""
        details = ((one, self.details.get((kind, one))) for one in self.ids[kind])
        return [f"{one} ({detail})" if detail else str(one) for one, detail in details]

    def list_ids(self, kind: IssueType) -> str:
        """The first ids of a type, each with its detail, and how many more there are."""
        described = self.describe(kind)
        more = f" and {len(described) - _MAX_LISTED} more" if len(described) > _MAX_LISTED else ""
        return ("" if kind.of == "set" else f"{kind.of} ") + ", ".join(described[:_MAX_LISTED]) + more

    def sentence(self, kind: IssueType) -> str:
        """An issue in part of a sentence: how many, what, what to do, and the first ids."""
        count = len(self.ids[kind])
        if kind.level == "note":
            return f"{count} {kind.message}"
        hint = "; rsn data check lists all" if count > _MAX_LISTED else ""
        return f"{count} {kind}: {self.list_ids(kind)}{hint}"

    def raise_errors(self, where: str) -> None:
        """Raise an AnnotationError that names all issues of level error, if there are any."""
        errors = [self.sentence(kind) for kind in self.ids if kind.level == "error"]
        if errors:
            raise AnnotationError(f"{where}: {'; '.join(errors)}")

    def warn(self, where: str, kinds: Iterable[IssueType]) -> None:
        """Issue an RsnWarning for each of these types that was found."""
        for kind in kinds:
            if kind in self.ids:  # stacklevel 1: a file that is read again warns only once
                warnings.warn(f"{where}: {self.sentence(kind)}", RsnWarning, stacklevel=1)


@dataclass(frozen=True, eq=False)
class Report:
    """The result of checking a dataset.

    people: those that could be read, with or without issues, by annotation id. images: how many the file lists.
    """

    source: str
    skeleton: Skeleton
    images: int
    people: dict[int | str, PersonAnnotation]
    found: Issues = field(default_factory=Issues)

    @property
    def issues(self) -> dict[IssueType, list[int | str]]:
        """The ids of images or annotations, or sentences, by type of issue."""
        return self.found.ids

    @property
    def errors(self) -> int:
        """The number of issues of level error."""
        return self._count("error")

    def of_level(self, level: Level) -> dict[IssueType, list[int | str]]:
        """The issues of one level."""
        return {kind: ids for kind, ids in self.issues.items() if kind.level == level}

    def _count(self, level: Level) -> int:
        return sum(map(len, self.of_level(level).values()))

    def keypoints(self) -> dict[str, tuple[int, ...]]:
        """By keypoint, how many people have it visible, occluded, absent and unknown."""
        visibility = np.array([person.visibility for person in self.people.values()])
        columns = visibility.reshape(-1, len(self.skeleton)).T
        counts = zip(*((columns == value).sum(1).tolist() for value in (2, 1, 0, -1)), strict=True)
        return dict(zip(self.skeleton.keypoint_names, counts, strict=True))

    def keypoints_per_person(self) -> dict[int, int]:
        """By number of marked keypoints, how many people have that many."""
        counts = Counter(int((person.visibility > 0).sum()) for person in self.people.values())
        return dict(sorted(counts.items()))

    def box_heights(self) -> NDArray[np.float64]:
        """Minimum, quartiles and maximum of the box heights in pixels, (5,); NaN without boxes."""
        heights = [person.box[3] for person in self.people.values() if person.box[3] > 0]
        return np.quantile(heights, [0, 0.25, 0.5, 0.75, 1]) if heights else np.full(5, np.nan)

    def to_dict(self) -> dict[str, Any]:
        """The whole report for a JSON file."""
        return {
            "source": self.source, "skeleton": self.skeleton.name, "images": self.images, "people": len(self.people),
            "errors": self.errors,
            "issues": [self._issue(kind, ids) for kind, ids in self.issues.items()],
            "keypoints": {
                keypoint: dict(zip(_VISIBILITIES, counts, strict=True))
                for keypoint, counts in self.keypoints().items()
            },
            "keypoints_per_person": {str(count): people for count, people in self.keypoints_per_person().items()},
            "box_heights": [round(float(height), 1) for height in self.box_heights() if np.isfinite(height)],
        }  # fmt: skip

    def _issue(self, kind: IssueType, ids: list[int | str]) -> dict[str, Any]:
        known = self.found.details
        details = {str(one): known[kind, one] for one in ids if (kind, one) in known}
        about = {"level": kind.level, "of": kind.of, "message": kind.message, "advice": kind.advice}
        return about | {"count": len(ids), "ids": ids, "details": details}

    def summary(self) -> str:
        """One line: the number of people, images and issues."""
        return (
            f"{self.source}: {len(self.people)} people in {self.images} images ({self.skeleton.name});"
            f" {', '.join(f'{self._count(level)} {level}s' for level in LEVELS)}"
        )

    def table(self) -> str:
        """The report as text: issues by level, then keypoints and boxes."""
        lines = [self.summary()]
        for level in LEVELS:
            issues = self.of_level(level)
            lines += ["", f"{level}s"] if issues else []
            for kind, ids in issues.items():
                lines += [f"  {len(ids):>6}  {kind}", f"          {self.found.list_ids(kind)}"]
        width = max(len(name) for name in self.skeleton.keypoint_names) + 2
        rows = {"keypoint": _VISIBILITIES, **self.keypoints()}
        lines += [
            "",
            *(f"{name:<{width}}" + "".join(f"{cell:>10}" for cell in row) for name, row in rows.items()),
        ]
        marked = ", ".join(f"{count}: {people}" for count, people in self.keypoints_per_person().items())
        low, *quartiles, high = (f"{height:.0f}" for height in self.box_heights())
        heights = f"lowest {low}, quartiles {' '.join(quartiles)}, highest {high} pixels" if low != "nan" else "-"
        return "\n".join(
            [*lines, "", f"keypoints marked: people   {marked or '-'}", f"box heights             {heights}"]
        )
