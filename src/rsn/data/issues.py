"""What can be wrong with a data set, and the report of what is."""

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

Level = Literal["error", "suspicion", "note"]
LEVELS: tuple[Level, ...] = ("error", "suspicion", "note")
_SHOWN = 8  # ids in a line of the table


@dataclass(frozen=True)
class IssueType:
    """Something that can be said about images or annotations.

    level: an error is wrong whatever was meant; a suspicion may be right; a note is only told. of: whose ids are
    listed. advice: what to do.
    """

    level: Level
    of: Literal["image", "annotation", "set"]
    says: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.says} ({self.advice})" if self.advice else self.says


# fmt: off
MISSING_IMAGE = IssueType("error", "image",
    "images that are not in the folder", "name their folder with --images, or copy them")
UNREADABLE = IssueType("error", "image", "images that cannot be read", "copy them again, or take them out of the file")
SIZE_MISMATCH = IssueType("error", "image",
    "images of another size than the file says", "scale keypoints and boxes with the images")
EXIF_IGNORED = IssueType("error", "image",
    "images that lie on their side as stored, which is how they were labeled: rsn, like image viewers, turns them"
    " upright as their EXIF data say",
    "rotate the labels with the images, or remove the orientation from the EXIF data")
DUPLICATE_IMAGE_ID = IssueType("error", "image", "image ids that are given twice", "give each its own")
INVALID_IMAGE_ENTRY = IssueType("error", "set", "images without id or file_name", "each needs both")
DUPLICATE_ANNOTATION_ID = IssueType("error", "annotation", "annotation ids that are given twice", "give each its own")
INVALID_ANNOTATION = IssueType("error", "set", "annotations that are no mapping", "each needs keypoints and an image_id")
UNLISTED_IMAGE = IssueType("error", "annotation", "people of images that the file does not list", "list the images")
INVALID_KEYPOINTS = IssueType("error", "annotation",
    "keypoints that are not x, y, visibility for each of the skeleton", "write 3 numbers a keypoint")
NORMALIZED = IssueType("error", "annotation",
    "people whose keypoints all lie within the first pixel, as shares of the image do",
    "write pixels: multiply by width and height")
INVALID_VISIBILITY = IssueType("error", "annotation", "visibilities that are not 0, 1 or 2", "0 absent, 1 occluded, 2 visible")
INVALID_CROWD = IssueType("error", "annotation", "iscrowd that is neither 0 nor 1", "write 0 for a single person")
INVALID_BOX = IssueType("error", "annotation", "boxes that are not x, y, width, height", "write 4 finite numbers")
BOX_OUTSIDE = IssueType("error", "annotation", "boxes that lie outside their image", "are they of this image?")
KEYPOINT_OUTSIDE = IssueType("error", "annotation",
    "keypoints marked visible that lie outside the image", "move them, or give them visibility 0")
DUPLICATE_PERSON = IssueType("error", "annotation", "people who are annotated twice with the same keypoints", "keep one of them")
NOBODY = IssueType("error", "set", "nobody has keypoints that can be used", "is it the right file?")
DUPLICATE_IMAGE = IssueType("suspicion", "image",
    "images with the same content as another", "keep one, and one split for all of its people")
LEFT_RIGHT_NAMES_SWAPPED = IssueType("suspicion", "annotation",
    "people whose left and right contradict each other", "left is the person's own left")
LEFT_RIGHT_SWAPPED = IssueType("suspicion", "set", "left and right exchanged throughout", "look at them with rsn data preview")
OCCLUDED_OUTSIDE = IssueType("suspicion", "annotation", "occluded keypoints outside the image", "they cannot be learnt")
KEYPOINT_FAR_FROM_BOX = IssueType("suspicion", "annotation",
    "people half of whose keypoints lie outside their box", "keypoints and box of one person?")
KEYPOINT_COUNT_MISMATCH = IssueType("suspicion", "annotation",
    "num_keypoints that differ from the keypoints marked", "those marked are counted instead")
EMPTY_BOX = IssueType("suspicion", "annotation",
    "people with a box of less than a pixel, who get one around their keypoints",
    "draw the box in pixels, or leave it out")
NO_FLIP_PAIR = IssueType("suspicion", "set",
    "keypoints whose names say left or right, and that have no counterpart on the other side",
    "flipped images leave them as they are; name their counterparts, or give flip_pairs")
INVALID_LIMBS = IssueType("suspicion", "set", "limbs that cannot be as they are written", "they are only for drawing")
UNLISTED_CATEGORY = IssueType("suspicion", "annotation",
    "annotations of categories that the file does not list, left out", "are the ids of both lists the same?")
INVALID_AREA = IssueType("suspicion", "annotation",
    "people whose area cannot be right, who get 0.53 x that of the box", "square pixels of the image")
BOX_EXCEEDS_IMAGE = IssueType("note", "annotation", "boxes that reach beyond the image")
NO_BOX = IssueType("note", "annotation", "people without a box, who get one around their keypoints")
NO_AREA = IssueType("note", "annotation", "people without an area, who get 0.53 x that of the box")
NO_ID = IssueType("note", "set", "annotations without an id, which go by their place in the list")
FILE_NAME_SPELLING = IssueType("note", "image",
    "images whose file is found under another spelling of its name or without some folders")
NO_KEYPOINTS = IssueType("note", "annotation", "people without a keypoint marked, left out of training")
CROWD = IssueType("note", "annotation", "crowds, left out of training")
OTHER_CATEGORY = IssueType("note", "annotation", "annotations of categories without these keypoints")
EXIF_ROTATED = IssueType("note", "image",
    "images that are turned as their EXIF data say", "their labels must be of the upright image")
NO_PEOPLE = IssueType("note", "image", "images without people")
NOT_OPENED = IssueType("note", "image", "images that were not opened", "rsn data check without --sample opens all")
# fmt: on


@dataclass(frozen=True, eq=False)
class Issues:
    """What was found in a data set so far.

    ids: of images or annotations, or sentences, by what was found. details: more about single ids.
    """

    ids: dict[IssueType, list[int | str]] = field(default_factory=dict)
    details: dict[tuple[IssueType, int | str], str] = field(default_factory=dict)

    def add(self, kind: IssueType, one: int | str, detail: str = "") -> None:
        """Note that something is found, once more."""
        self.ids.setdefault(kind, []).append(one)
        if detail:
            self.details[kind, one] = detail

    def about(self, kind: IssueType) -> list[str]:
        """The ids of a finding, with what is known about each."""
        details = ((one, self.details.get((kind, one))) for one in self.ids[kind])
        return [f"{one} ({detail})" if detail else str(one) for one, detail in details]

    def sentence(self, kind: IssueType) -> str:
        """A finding as part of a sentence: how often, what, what to do, and where."""
        if kind.level == "note":
            return f"{len(self.ids[kind])} {kind.says}"
        lists = ", which rsn data check lists" if len(self.ids[kind]) > _SHOWN else ""
        return f"{len(self.ids[kind])} {kind}: {self.listed(kind)}{lists}"

    def listed(self, kind: IssueType, most: int = _SHOWN) -> str:
        """The first ids of a finding, with what is known about each, and how many more there are."""
        about = self.about(kind)
        more = f" and {len(about) - most} more" if len(about) > most else ""
        return ("" if kind.of == "set" else f"{kind.of} ") + ", ".join(about[:most]) + more

    def refuse(self, where: str) -> None:
        """Raise an AnnotationError that names the errors among them, if there are any."""
        errors = [self.sentence(kind) for kind in self.ids if kind.level == "error"]
        if errors:
            raise AnnotationError(f"{where}: {'; '.join(errors)}")

    def tell(self, where: str, kinds: Iterable[IssueType]) -> None:
        """Issue an RsnWarning for each of these kinds that was found."""
        for kind in kinds:
            if kind in self.ids:  # from one line, so that what is read twice is told once
                warnings.warn(f"{where}: {self.sentence(kind)}", RsnWarning, stacklevel=1)


@dataclass(frozen=True, eq=False)
class Report:
    """What a look at a data set found.

    people: those who could be read, whatever is wrong with them, by annotation id. images: how many the file lists.
    """

    source: str
    skeleton: Skeleton
    images: int
    people: dict[int | str, PersonAnnotation]
    found: Issues = field(default_factory=Issues)

    @property
    def issues(self) -> dict[IssueType, list[int | str]]:
        """The ids of images or annotations, or sentences, by what was found."""
        return self.found.ids

    @property
    def errors(self) -> int:
        """How many images, people and other things have an error."""
        return self._count("error")

    def of_level(self, level: Level) -> dict[IssueType, list[int | str]]:
        """The findings of one level."""
        return {kind: ids for kind, ids in self.issues.items() if kind.level == level}

    def _count(self, level: Level) -> int:
        return sum(map(len, self.of_level(level).values()))

    def about(self, kind: IssueType) -> list[str]:
        """The ids of a finding, with what is known about each."""
        return self.found.about(kind)

    def keypoints(self) -> dict[str, tuple[int, int, int]]:
        """By keypoint, how many people have it visible, occluded and absent."""
        seen = np.array([person.visibility for person in self.people.values()])
        columns = seen.reshape(-1, len(self.skeleton)).T
        counts = zip(*((columns == value).sum(1).tolist() for value in (2, 1, 0)), strict=True)
        return dict(zip(self.skeleton.keypoint_names, counts, strict=True))

    def keypoints_a_person(self) -> Counter[int]:
        """How many people have how many keypoints marked."""
        return Counter(int((person.visibility > 0).sum()) for person in self.people.values())

    def box_heights(self) -> NDArray[np.float64]:
        """Lowest, quartiles and highest of the boxes' heights in pixels, (5,); NaN where there is none."""
        heights = [person.box[3] for person in self.people.values() if person.box[3] > 0]
        return np.quantile(heights, [0, 0.25, 0.5, 0.75, 1]) if heights else np.full(5, np.nan)

    def as_dict(self) -> dict[str, Any]:
        """All of it, for a JSON file."""
        return {
            "source": self.source, "skeleton": self.skeleton.name, "images": self.images, "people": len(self.people),
            "errors": self.errors,
            "findings": [self._issue(kind, ids) for kind, ids in self.issues.items()],
            "keypoints": {
                keypoint: dict(zip(("visible", "occluded", "absent"), counts, strict=True))
                for keypoint, counts in self.keypoints().items()
            },
            "keypoints_a_person": {str(count): people for count, people in sorted(self.keypoints_a_person().items())},
            "box_heights": [round(float(height), 1) for height in self.box_heights() if np.isfinite(height)],
        }  # fmt: skip

    def _issue(self, kind: IssueType, ids: list[int | str]) -> dict[str, Any]:
        known = self.found.details
        details = {str(one): known[kind, one] for one in ids if (kind, one) in known}
        about = {"level": kind.level, "of": kind.of, "what": kind.says, "advice": kind.advice}
        return about | {"count": len(ids), "ids": ids, "details": details}

    def summary(self) -> str:
        """One line: how many people and images, and how much was found."""
        found = ", ".join(f"{self._count(level)} {level}s" for level in LEVELS)
        return f"{self.source}: {len(self.people)} people in {self.images} images ({self.skeleton.name}); {found}"

    def table(self) -> str:
        """The report as text: what was found, by level, then keypoints and boxes."""
        lines = [self.summary()]
        for level in LEVELS:
            found = self.of_level(level)
            lines += ["", f"{level}s"] if found else []
            for kind, ids in found.items():
                lines += [f"  {len(ids):>6}  {kind}", f"          {self.found.listed(kind)}"]
        return "\n".join([*lines, "", *self._keypoint_lines(), "", *self._box_lines()])

    def _keypoint_lines(self) -> list[str]:
        width = max(len(keypoint) for keypoint in self.skeleton.keypoint_names) + 2
        head = f"{'keypoint':<{width}}" + "".join(f"{word:>10}" for word in ("visible", "occluded", "absent"))
        rows = [
            f"{keypoint:<{width}}" + "".join(f"{count:>10}" for count in counts)
            for keypoint, counts in self.keypoints().items()
        ]
        return [head, *rows]

    def _box_lines(self) -> list[str]:
        keypoints = ", ".join(
            f"{count}: {people}" for count, people in sorted(self.keypoints_a_person().items())
        )
        heights = [f"{height:.0f}" for height in self.box_heights()]
        words = "lowest {}, quartiles {} {} {}, highest {} pixels"
        quartiles = "-" if heights[0] == "nan" else words.format(*heights)
        return [f"keypoints marked: people   {keypoints or '-'}", f"box heights             {quartiles}"]
