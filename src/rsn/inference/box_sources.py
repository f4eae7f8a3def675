"""Where the boxes of an image come from: a file of boxes, or the image as a whole."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from rsn.data.annotations import ImageFile
from rsn.data.references import References
from rsn.data.values import Id, image_size, is_crowd, normalize_id, parse_number, parse_numbers
from rsn.errors import AnnotationError
from rsn.geometry import Image
from rsn.inference.box_checks import Boxes, reasons
from rsn.io.image_formats import is_image_name
from rsn.io.validation import read_json

FORMATS = 'write {"image.jpg": [[x, y, width, height], ...]} or COCO detections'
INVALID_BOX = "that are not x, y, width, height"
INVALID_SCORE = "with a score that is not a finite number"
UNLISTED_IMAGE = "of images that are not listed"
OTHER_CATEGORY = "of another category"
CROWD = "of a crowd"
RESULT_KEYS = ("annotations", "predictions", "detections", "results")  # lists of results in a document

PERSON_NAMES = ("person", "people", "human", "pedestrian")
PERSON_ID = 1  # category of persons in COCO, for files that do not name their categories
ANY = "any"

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
    """The boxes of a file, by image. Called with the path and the pixels of an image, it returns that image's boxes.

    Images are found by file name, with or without folders and suffix. An image without a file name in the file is found
    by its id: the name of the image's file, or the number that this name is, as in COCO (000000000139.jpg is image
    139). See `rsn.data.references`.

    by_image: rows of x, y, width, height, score, by file name or id. skipped: number of boxes that are left out, by
    reason. sizes: (width, height) of images, where the file has them. file_names: the keys that are file names.
    """

    path: Path
    by_image: dict[str, list[list[float]]]
    skipped: Counter[str] = field(default_factory=Counter)
    sizes: dict[str, tuple[float, float]] = field(default_factory=dict)
    file_names: frozenset[str] = frozenset()

    @classmethod
    def read(
        cls, path: Path, *, category: str | None = None, category_ids: Collection[int | str] | None = None
    ) -> "BoxFile":
        """Read a JSON file of boxes in one of three formats.

        - {"image.jpg": [[x, y, width, height], [x, y, width, height, score], ...], ...}
        - COCO results: [{"image_id": ..., "bbox": [...], "score": ...}, ...]; with a file_name, as Ultralytics and `rsn
          predict` write it, the image is found by that
        - COCO annotations: {"images": [...], "annotations": [...]}; crowds are left out

        Boxes of other categories, invalid boxes and boxes with an invalid score are left out. Boxes without a category
        stay; boxes without a score have 1.

        category: name or id of the category to use, or "any". category_ids: those of the annotations that the boxes
        belong to. By default persons, see `choose_categories`.

        Raises:
            AnnotationError: no such file, another format, no valid box, or no such category.
        """
        reader = _Reader(str(path), category, category_ids)
        document = read_json(path)
        try:
            reader.read(document)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise AnnotationError(f"{path}: not a file of boxes ({error!r}); {FORMATS}") from error
        skipped = +reader.skipped
        if skipped[INVALID_BOX] + skipped[INVALID_SCORE] and not any(reader.boxes.values()):
            raise AnnotationError(f"{path}: not a file of boxes (left out: {reasons(skipped)}); {FORMATS}")
        return cls(path, reader.boxes, skipped, reader.sizes, frozenset(reader.file_names))

    def __len__(self) -> int:
        return sum(map(len, self.by_image.values()))

    def summary(self) -> str:
        """One line: the number of boxes and images, and what was left out."""
        text = f"{len(self)} boxes of {len(self.by_image)} images"
        return f"{text}; left out: {reasons(self.skipped)}" if self.skipped else text

    def __call__(self, path: Path, image: Image) -> Boxes:
        """The boxes of one image.

        Raises:
            AnnotationError: the file has no such image, several that match, or one of another size.
        """
        key = self._key_of(path)
        if key is None:
            raise AnnotationError(
                f"{path}: {self.path} has no boxes for it; add the image with an empty list if it has no persons"
            )
        size = self.sizes.get(key)
        height, width = image.shape[:2]
        if size is not None and _differ(size, (width, height)):
            raise AnnotationError(
                f"{path}: it has {width} x {height} pixels, and {self.path} has the boxes of an image of"
                f" {size[0]:g} x {size[1]:g}; scale the boxes, or use the image that they belong to"
            )
        return self._boxes_of(key)

    def of_image(self, name: str | int) -> Boxes | None:
        """The boxes of the image with a file name or an id; None if it is not listed.

        Raises:
            AnnotationError: several images match.
        """
        index = self._images.by_path(name) if isinstance(name, str) else self._images.by_id(name)
        return None if index is None else self._boxes_of(self._keys[index])

    def of_files(self, files: Sequence[ImageFile]) -> list[Boxes | None]:
        """The boxes of the images of a dataset, found by their files or ids; None for each that is not listed.

        Raises:
            AnnotationError: several images match one of them.
        """
        return [None if key is None else self._boxes_of(key) for key in self._keys_of(files)]

    def of_other_size(self, files: Sequence[ImageFile]) -> list[bool]:
        """Whether the file and the dataset have different sizes of an image, for each image.

        Raises:
            AnnotationError: as `of_files`.
        """
        pairs = [(self.sizes.get(key or ""), file.size) for key, file in zip(self._keys_of(files), files, strict=True)]
        return [one is not None and other is not None and _differ(one, other) for one, other in pairs]

    def check_apart(self, paths: Iterable[Path]) -> None:
        """Refuse (AnnotationError) images of which two would get the boxes of one, such as 1.jpg in two folders."""
        seen: dict[str, Path] = {}
        for path in paths:
            try:
                key = self._key_of(path)
            except AnnotationError:
                continue  # reported when this image is processed
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
        names = [key if key in self.file_names or is_image_name(key) else None for key in self._keys]
        ids = [key if name is None else None for key, name in zip(self._keys, names, strict=True)]
        return References(ids, names)

    def _key_of(self, path: Path) -> str | None:
        try:
            index = self._images.by_path(str(path))
        except AnnotationError as error:
            raise AnnotationError(f"{self.path}: {error}") from None
        return None if index is None else self._keys[index]

    def _keys_of(self, files: Sequence[ImageFile]) -> list[str | None]:
        try:
            found = self._images.by_files([file.id for file in files], [str(file.path) for file in files])
        except AnnotationError as error:
            raise AnnotationError(f"{self.path}: {error}") from None
        return [None if index is None else self._keys[index] for index in found]

    def _boxes_of(self, key: str) -> Boxes:
        table = np.asarray(self.by_image[key], np.float64).reshape(-1, 5)
        return table[:, :4], table[:, 4]


class _Reader:
    """Reads the boxes of a document by file name or image id, and counts what is left out."""

    def __init__(self, name: str, category: str | None, category_ids: Collection[Id] | None) -> None:
        self.name = name
        self.category = category
        self.category_ids = category_ids
        self.boxes: dict[str, list[list[float]]] = {}
        self.skipped: Counter[str] = Counter()
        self.sizes: dict[str, tuple[float, float]] = {}
        self.file_names: set[str] = set()

    def read(self, document: Any) -> None:
        """Read a document in any of the formats."""
        if isinstance(document, list):
            return self._read_results(document)
        for name in RESULT_KEYS:
            if "images" not in document and _are_results(document.get(name)):
                return self._read_results(document[name])
        if "annotations" in document:
            return self._read_annotations(document)
        for name, rows in document.items():
            if isinstance(rows, list):
                self.boxes[name] = []
                for row in rows:
                    self._add(name, row)
            else:
                self.skipped[INVALID_BOX] += 1
        return None

    def _read_results(self, entries: list[Any]) -> None:
        keys = [self._key_of(entry) for entry in entries]
        if entries and not any(key is not None for key in keys):
            raise ValueError("no entry has an image_id")
        self.boxes = {key: [] for key in keys if key is not None}
        self._add_entries(zip(keys, entries, strict=True), [])

    def _read_annotations(self, document: dict[str, Any]) -> None:
        listed = document["images"]
        keys = [self._key_of({"image_id": image["id"], **image}) for image in listed]
        self.boxes = {key: [] for key in keys if key is not None}
        for key, image in zip(keys, listed, strict=True):
            size = image_size(image)
            if size is not None and key is not None:
                self.sizes[key] = size
        images = References([image["id"] for image in listed], keys)
        found = [_index_of(entry, images) for entry in document["annotations"]]
        entry_keys = [None if index is None else keys[index] for index in found]
        self._add_entries(zip(entry_keys, document["annotations"], strict=True), document.get("categories") or [])

    def _key_of(self, entry: Any) -> str | None:
        """The file name of an entry's image, or else its id; None if it has neither."""
        if not isinstance(entry, dict):
            return None
        name, image_id = entry.get("file_name"), normalize_id(entry.get("image_id"))
        if isinstance(name, str) and name:
            self.file_names.add(name)
            return name
        return None if image_id is None else str(image_id)

    def _add_entries(self, entries: Iterable[tuple[str | None, Any]], listed: list[Any]) -> None:
        """Add the entries of persons, or of the category that was asked for; `listed` are the file's categories."""
        all_entries = list(entries)
        known = [(key, entry) for key, entry in all_entries if key is not None]
        self.skipped[UNLISTED_IMAGE] += len(all_entries) - len(known)
        chosen = self._categories([entry for _, entry in known], listed)
        for key, entry in known:
            category = entry.get("category_id")
            if chosen is not None and category is not None and normalize_id(category) not in chosen:
                self.skipped[OTHER_CATEGORY] += 1
            elif is_crowd(entry.get("iscrowd")):
                self.skipped[CROWD] += 1
            else:
                self._add(key, entry.get("bbox"), entry.get("score"))

    def _categories(self, entries: list[dict[str, Any]], listed: list[Any]) -> frozenset[Id] | None:
        used = {normalize_id(entry.get("category_id")): entry.get("category_name") for entry in entries}
        names = {one: name for one, name in used.items() if one is not None and isinstance(name, str)}
        categories = {
            one: category
            for category in listed
            if isinstance(category, dict) and (one := normalize_id(category.get("id"))) is not None
        }
        names |= {one: str(category.get("name", "")) for one, category in categories.items()}
        return choose_categories(
            {one for one in used if one is not None},
            names,
            self.name,
            category=self.category,
            expected=None if self.category_ids is None else _normalized(self.category_ids),
            with_keypoints=[one for one, category in categories.items() if category.get("keypoints")],
        )

    def _add(self, key: str, box: Any, score: Any = None) -> None:
        """Add a box of 4 numbers, or of 5 with the score; an invalid one is counted."""
        values = parse_numbers(box[:4]) if isinstance(box, list) and len(box) in (4, 5) else None
        if values is None or len(values) != 4:
            self.skipped[INVALID_BOX] += 1
            return
        confidence = parse_number(score if score is not None else box[4] if len(box) == 5 else 1.0)
        if not isfinite(confidence):
            self.skipped[INVALID_SCORE] += 1
            return
        self.boxes[key].append([*map(float, values), confidence])


def choose_categories(
    used: Collection[Id],
    names: Mapping[Id, str],
    file: str,
    *,
    category: str | None = None,
    expected: Collection[Id] | None = None,
    with_keypoints: Collection[Id] = (),
) -> frozenset[Id] | None:
    """The categories of a file of boxes to use, as normalized ids; None for all.

    Args:
        used: categories that boxes of the file have.
        names: names of categories, as far as the file has them.
        file: for messages.
        category: a name or an id, or "any"; by default `expected`, and without these persons.
        expected: categories of the annotations to compare with.
        with_keypoints: categories with keypoints, used if none is named as a person.

    Raises:
        AnnotationError: there is no such category, or it is not known which one is persons.
    """
    if category is not None:
        return None if category == ANY else _by_name(category, used, names, file)
    if not names and 0 in used and len(used) > 1 and 0 not in (expected or ()):
        raise AnnotationError(
            f"{file}: its categories are counted from 0 ({_listed(used, names)}), so {PERSON_ID} may not be persons;"
            " name their category with --box-category, perhaps 0"
        )
    if expected is not None:
        return frozenset(expected)
    persons = frozenset(one for one, name in names.items() if name.strip().casefold() in PERSON_NAMES)
    if persons or with_keypoints:
        return persons or frozenset(with_keypoints)
    if not names and set(used) == {0}:  # the only category of a detector that counts from 0
        return frozenset(used)
    if names and used:
        raise AnnotationError(
            f"{file}: none of its categories is a person ({_listed(used, names)}); choose one with --box-category, or"
            " any"
        )
    return frozenset({PERSON_ID})


def _by_name(category: str, used: Collection[Id], names: Mapping[Id, str], file: str) -> frozenset[Id]:
    normalized = normalize_id(category)
    found = {one for one, name in names.items() if name.strip().casefold() == category.strip().casefold()}
    if normalized is not None and (normalized in used or normalized in names):
        found.add(normalized)
    if not found:
        raise AnnotationError(f"{file}: no box is of category {category!r}; there are {_listed(used, names) or 'none'}")
    return frozenset(found)


def _listed(used: Collection[Id], names: Mapping[Id, str]) -> str:
    shown = [f"{one} {names[one]}" if one in names else str(one) for one in sorted(used, key=str)[:10]]
    return ", ".join(shown) + (" and more" if len(used) > len(shown) else "")


def _differ(size: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether two sizes (width, height) differ by more than rounding."""
    return any(abs(a - b) > max(2, 0.01 * b) for a, b in zip(size, other, strict=True))


def _normalized(ids: Collection[Id]) -> frozenset[Id]:
    return frozenset(one for value in ids if (one := normalize_id(value)) is not None)


def _are_results(entries: Any) -> bool:
    return isinstance(entries, list) and any(isinstance(entry, dict) and "image_id" in entry for entry in entries)


def _index_of(entry: Any, images: References) -> int | None:
    try:
        return images.by_id(entry.get("image_id")) if isinstance(entry, dict) else None
    except AnnotationError:  # several images match
        return None
