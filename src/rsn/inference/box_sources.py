"""Where the people of an image are: in a file of boxes, where a detector finds them, or the image as a whole."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rsn.data.annotations import ImageFile
from rsn.data.references import References
from rsn.data.values import image_size, is_crowd, normalize_id, parse_number, parse_numbers
from rsn.errors import AnnotationError
from rsn.geometry import Image
from rsn.inference.box_categories import chosen_categories
from rsn.inference.box_checks import Boxes, reasons
from rsn.io.image_formats import is_image_name
from rsn.io.validation import read_json

FORMS = 'write {"image.jpg": [[x, y, width, height], ...]} or COCO detections'
NO_BOX = "that are not x, y, width, height"
NO_SCORE = "with a score that is no finite number"
UNLISTED_IMAGE = "of images that are not listed"

# The boxes and scores of an image: called with its path and its pixels.
BoxSource = Callable[[Path, Image], Boxes]


def open_box_source(boxes: str, *, category: str | None = None) -> "BoxSource | None":
    """Where the boxes of images come from: "detect" for a detector (None), "whole", or a file of boxes.

    Raises:
        AnnotationError: as `BoxFile.read`.
    """
    if boxes == "detect":
        return None
    return whole_image_boxes if boxes == "whole" else BoxFile.read(Path(boxes), category=category)


def whole_image_boxes(path: Path, image: Image) -> Boxes:
    """One box, the whole image: for an image that one person fills."""
    height, width = image.shape[:2]
    return np.array([[0.0, 0.0, width, height]]), np.ones(1)


@dataclass(frozen=True)
class BoxFile:
    """Boxes by image, as a file has them. Called with an image's path it looks the boxes up by file name.

    An image that has no file name in the file goes by its id: the name of the image's file, with or without its folders
    and suffix, or the number that it is, as in COCO (000000000139.jpg is image 139). See `rsn.data.references`.

    by_image: rows of x, y, width, height, score, by file name or id. skipped: how many boxes are not looked at, by
    reason. sizes: (width, height) of the images that the file tells them of. named: keys that are file names, besides
    those that look so.
    """

    path: Path
    by_image: dict[str, list[list[float]]]
    skipped: Counter[str] = field(default_factory=Counter)
    sizes: dict[str, tuple[float, float]] = field(default_factory=dict)
    named: frozenset[str] = frozenset()

    @classmethod
    def read(
        cls, path: Path, *, category: str | None = None, category_ids: Collection[int | str] | None = None
    ) -> "BoxFile":
        """Read boxes in any of three forms, all JSON.

        - {"image.jpg": [[x, y, width, height], [x, y, width, height, score], ...], ...}
        - COCO results: [{"image_id": ..., "bbox": [...], "score": ...}, ...]; with a file_name beside the image goes by
          that, as Ultralytics and `rsn predict` write it
        - COCO annotations: {"images": [...], "annotations": [...]}, crowds left out

        Boxes of other categories are left out, as are those that are no boxes or have a score that is no finite number;
        those that name no category stay. Where no box of a file of results has a score, all have 1.

        category: the category to look at, by name or id, or "any". category_ids: those of the annotations that the
        boxes go with. Without both it is the people, see `box_categories.chosen_categories`.

        Raises:
            AnnotationError: a file that is missing, in none of the forms, or without a single box that is one; a
                category that is not in it.
        """
        reading = _Reading(str(path), category, category_ids)
        document = read_json(path)
        try:
            boxes = reading.boxes_in(document)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise AnnotationError(f"{path}: not a file of boxes ({error!r}); {FORMS}") from error
        if reading.skipped[NO_BOX] + reading.skipped[NO_SCORE] and not any(boxes.values()):
            raise AnnotationError(
                f"{path}: not a file of boxes (left out: {reasons(+reading.skipped)}); {FORMS}"
            )
        return cls(path, boxes, +reading.skipped, reading.sizes, frozenset(reading.named))

    def __len__(self) -> int:
        return sum(map(len, self.by_image.values()))

    def summary(self) -> str:
        """One line: how many boxes and images, and what was left out."""
        text = f"{len(self)} boxes of {len(self.by_image)} images"
        return f"{text}; left out: {reasons(self.skipped)}" if self.skipped else text

    def __call__(self, path: Path, image: Image) -> Boxes:
        """The boxes of one image.

        Raises:
            AnnotationError: the file does not name the image, names several like it, or tells another size of it.
        """
        key = self._key_of(path)
        if key is None:
            raise AnnotationError(
                f"{path}: {self.path} has no boxes for it; an empty list says nobody is there"
            )
        size = self.sizes.get(key)
        height, width = image.shape[:2]
        if size is not None and differs(size, (width, height)):
            raise AnnotationError(
                f"{path}: it has {width} x {height} pixels, and {self.path} has the boxes of an image of"
                f" {size[0]:g} x {size[1]:g}; scale them, or take the image that they were made of"
            )
        return _as_arrays(self.by_image[key])

    def of_files(self, files: Sequence[ImageFile]) -> list[Boxes | None]:
        """The boxes of the images of a dataset, by their files or ids; None for each that is not listed.

        Raises:
            AnnotationError: several images are named like one of them.
        """
        return [None if key is None else _as_arrays(self.by_image[key]) for key in self._keys_of(files)]

    def of_other_size(self, files: Sequence[ImageFile]) -> list[bool]:
        """Whether the file tells another size of an image than the dataset does, for each image.

        Raises:
            AnnotationError: as `of_files`.
        """
        told = (
            (self.sizes.get(key or ""), file.size)
            for key, file in zip(self._keys_of(files), files, strict=True)
        )
        return [here is not None and there is not None and differs(here, there) for here, there in told]

    def _keys_of(self, files: Sequence[ImageFile]) -> list[str | None]:
        try:
            places = self._images.by_files([file.id for file in files], [str(file.path) for file in files])
        except AnnotationError as error:
            raise AnnotationError(f"{self.path}: {error}") from None
        return [self._at(place) for place in places]

    def of_image(self, name: str | int) -> Boxes | None:
        """The boxes of the image that goes by a file name or an id; None where it is not listed.

        Raises:
            AnnotationError: several images are named so.
        """
        key = self._at(self._images.by_path(name) if isinstance(name, str) else self._images.by_id(name))
        return None if key is None else _as_arrays(self.by_image[key])

    def check_apart(self, paths: Iterable[Path]) -> None:
        """Refuse (AnnotationError) images of which two would get the boxes of one image, as 1.jpg of two folders."""
        seen: dict[str, Path] = {}
        for path in paths:
            try:
                key = self._key_of(path)
            except AnnotationError:
                continue  # reported when it is that image's turn
            if key is not None and seen.setdefault(key, path) != path:
                raise AnnotationError(
                    f"{self.path}: the boxes of {key} could be those of {seen[key]} and of {path}; name the images"
                    " there with their folders"
                )

    @cached_property
    def _keys(self) -> list[str]:
        return list(self.by_image)

    @cached_property
    def _images(self) -> References:
        names = [key if key in self.named or is_image_name(key) else None for key in self._keys]
        ids = [key if name is None else None for key, name in zip(self._keys, names, strict=True)]
        return References(ids, names)

    def _at(self, place: int | None) -> str | None:
        return None if place is None else self._keys[place]

    def _key_of(self, path: Path) -> str | None:
        try:
            return self._at(self._images.by_path(str(path)))
        except AnnotationError as error:
            raise AnnotationError(f"{self.path}: {error}") from None


class _Reading:
    """Boxes by image id or file name; what is left out is counted."""

    def __init__(self, where: str, category: str | None, category_ids: Collection[int | str] | None) -> None:
        self.where = where
        self.category = category
        self.category_ids = None if category_ids is None else _plain(category_ids)
        self.skipped: Counter[str] = Counter()
        self.sizes: dict[str, tuple[float, float]] = {}
        self.named: set[str] = set()

    def boxes_in(self, document: Any) -> dict[str, list[list[float]]]:
        """The boxes of a document in any of the forms."""
        if isinstance(document, list):
            return self._results(document)
        for name in ("annotations", "predictions", "detections", "results"):
            if "images" not in document and _are_results(document.get(name)):
                return self._results(document[name])
        if "annotations" in document:
            return self._annotations(document)
        lists = {name: listed for name, listed in document.items() if isinstance(listed, list)}
        self.skipped[NO_BOX] += len(document) - len(lists)
        return {
            name: [row for box in listed if (row := self._row(box)) is not None]
            for name, listed in lists.items()
        }

    def _results(self, entries: list[Any]) -> dict[str, list[list[float]]]:
        known = [entry for entry in entries if self._key_of(entry) is not None]
        self.skipped[UNLISTED_IMAGE] += len(entries) - len(known)
        if entries and not known:
            raise ValueError("no entry has an image_id")
        boxes: dict[str, list[list[float]]] = {self._key_of(entry) or "": [] for entry in known}
        scored = any("score" in entry for entry in known)
        for entry in self._of_category(known, {}):
            row = self._row(entry.get("bbox"), entry.get("score") if scored else 1.0)
            if row is not None:
                boxes[self._key_of(entry) or ""].append(row)
        return boxes

    def _key_of(self, entry: Any) -> str | None:
        """What the image of a result goes by: its file name, or else its id; None where it has neither."""
        if not isinstance(entry, dict):
            return None
        name, plain = entry.get("file_name"), normalize_id(entry.get("image_id"))
        if isinstance(name, str) and name:
            self.named.add(name)
            return name
        return None if plain is None else str(plain)

    def _annotations(self, document: dict[str, Any]) -> dict[str, list[list[float]]]:
        keys = [self._key_of({"image_id": image["id"], **image}) for image in document["images"]]
        images = References([image["id"] for image in document["images"]], keys)
        boxes: dict[str, list[list[float]]] = {key: [] for key in keys if key is not None}
        for key, image in zip(keys, document["images"], strict=True):
            size = image_size(image)
            if size is not None and key is not None:
                self.sizes[key] = size
        for entry in self._of_category(document["annotations"], document):
            place = _image_of(entry, images)
            key = None if place is None else keys[place]
            if key is None:
                self.skipped[UNLISTED_IMAGE] += 1
            elif is_crowd(entry.get("iscrowd")):
                self.skipped["of a crowd"] += 1
            elif (row := self._row(entry.get("bbox"))) is not None:
                boxes[key].append(row)
        return boxes

    def _of_category(self, entries: list[Any], document: dict[str, Any]) -> Iterator[dict[str, Any]]:
        listed = document.get("categories") or []
        categories = {normalize_id(one["id"]): one for one in listed if isinstance(one, dict) and "id" in one}
        self.skipped[UNLISTED_IMAGE] += sum(not isinstance(entry, dict) for entry in entries)
        entries = [entry for entry in entries if isinstance(entry, dict)]
        named = {normalize_id(entry.get("category_id")): entry.get("category_name") for entry in entries}
        names = {one: name for one, name in named.items() if one is not None and isinstance(name, str)}
        names |= {
            one: str(category.get("name", "")) for one, category in categories.items() if one is not None
        }
        used = {normalize_id(entry.get("category_id")) for entry in entries} - {None}
        chosen = chosen_categories(
            {one for one in used if one is not None},
            names,
            self.where,
            asked=self.category,
            expected=self.category_ids,
            with_keypoints=[one for one in names if categories.get(one, {}).get("keypoints")],
        )
        for entry in entries:
            category = entry.get("category_id")
            if chosen is None or category is None or normalize_id(category) in chosen:
                yield entry
            else:
                self.skipped["of another category"] += 1

    def _row(self, box: Any, score: Any = None) -> list[float] | None:
        """x, y, width, height, score; None, and counted, for what is no box."""
        values = parse_numbers(box[:4]) if isinstance(box, list) and len(box) in (4, 5) else None
        if values is None or len(values) != 4:
            self.skipped[NO_BOX] += 1
            return None
        confidence = parse_number(score if score is not None else box[4] if len(box) == 5 else 1.0)
        if not math.isfinite(confidence):
            self.skipped[NO_SCORE] += 1
            return None
        return [*map(float, values), confidence]


def differs(told: tuple[float, float], real: tuple[float, float]) -> bool:
    """Whether (width, height) that a file tells is another than an image's own, by more than rounding."""
    return any(abs(a - b) > max(2, 0.01 * b) for a, b in zip(told, real, strict=True))


def _as_arrays(rows: list[list[float]]) -> Boxes:
    table = np.asarray(rows, np.float64).reshape(-1, 5)
    return table[:, :4], table[:, 4]


def _plain(ids: Collection[int | str]) -> frozenset[int | str]:
    return frozenset(plain for one in ids if (plain := normalize_id(one)) is not None)


def _are_results(entries: Any) -> bool:
    return isinstance(entries, list) and any(
        isinstance(entry, dict) and "image_id" in entry for entry in entries
    )


def _image_of(entry: dict[str, Any], images: References) -> int | None:
    try:
        return images.by_id(entry.get("image_id"))
    except AnnotationError:  # it could be several
        return None
