"""Which image of a list is meant: by an id, which may be a number or a text, by a file name, its stem or its path."""

import math
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from rsn.errors import AnnotationError
from rsn.io.image_formats import SUFFIXES
from rsn.keypoint_names import composed

Id = int | str

_DIGITS = re.compile(r"\d{1,20}", re.ASCII)


def plain_id(value: Any) -> int | str | None:
    """An id in the one form by which ids are compared; None for what is neither a number nor a text.

    139, 139.0, "139" and "000000000139" mean the same, and so do texts that Unicode composes differently.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return None if not math.isfinite(value) else int(value) if value.is_integer() else str(value)
    if not isinstance(value, str):
        return None
    text = composed(value.strip())
    if text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20:
        return int(text)
    whole = text.removesuffix(".0")
    return int(whole) if whole.isascii() and whole.isdigit() and len(whole) < 20 else text


def listed_id(value: Any) -> Id | None:
    """An id as it is shown and written: as it is listed, a number without a fraction as a whole one."""
    plain = plain_id(value)
    return value if isinstance(value, str) and plain is not None else plain


def parts_of(name: str) -> tuple[str, ...]:
    """Folders and file of a path written on any system, accents composed; without the root or drive in front."""
    parts = PurePosixPath(composed(name.strip()).replace("\\", "/")).parts
    return parts[1:] if parts and (parts[0] == "/" or re.fullmatch("[A-Za-z]:", parts[0])) else parts


class References:
    """Images by id and file name.

    ids, names: of each image; None where it has none. An id that is listed twice means the first.
    """

    def __init__(self, ids: Sequence[Any], names: Sequence[str | None]) -> None:
        self._names = names
        self._plain = [plain_id(one) for one in ids]
        self._places: dict[Id, int] = {}
        for place, plain in enumerate(self._plain):
            if plain is not None:
                self._places.setdefault(plain, place)

    @cached_property
    def _parts(self) -> list[tuple[str, ...]]:
        """Folders and file of each; one without a file name goes by its id, which may be that name or its stem."""
        called = (
            ("" if plain is None else str(plain)) if name is None else name
            for plain, name in zip(self._plain, self._names, strict=True)
        )
        return [parts_of(name) for name in called]

    @cached_property
    def _files(self) -> dict[str, list[int]]:
        """The places by file name without suffix."""
        files: dict[str, list[int]] = {}
        for place, parts in enumerate(self._parts):
            if parts:
                files.setdefault(_stem(parts[-1]), []).append(place)
        return files

    @cached_property
    def _numbers(self) -> dict[int, list[int]]:
        """The places by the number that is a file's name."""
        numbers: dict[int, list[int]] = {}
        for stem, places in self._files.items():
            if _DIGITS.fullmatch(stem):
                numbers.setdefault(int(stem), []).extend(places)
        return numbers

    def by_id(self, value: Any) -> int | None:
        """The place of the image with an id, or else with it as the file name, its stem, or a number it is named by.

        Raises:
            AnnotationError: several images are named so.
        """
        plain = plain_id(value)
        if plain is None:
            return None
        if plain in self._places:
            return self._places[plain]
        found = self.by_name(str(value))
        if found is None and isinstance(plain, int):
            found = _only(self._numbers.get(plain, []), str(value))
        return found

    def by_name(self, name: str) -> int | None:
        """The place of the image with a file name or path, of which one may lack folders or the suffix.

        Raises:
            AnnotationError: several images are named so.
        """
        parts = parts_of(name)
        if not parts:
            return None
        near = [
            place for place in self._files.get(_stem(parts[-1]), ()) if _same_end(parts, self._parts[place])
        ]
        exact = [place for place in near if parts == self._parts[place]]
        return _only(exact or near, name)

    def by_path(self, name: str) -> int | None:
        """As `by_name`; an image without file name may also have the number that the file is named by as its id.

        Raises:
            AnnotationError: several images are named so.
        """
        found, parts = self.by_name(name), parts_of(name)
        if found is not None or not parts or not _DIGITS.fullmatch(_stem(parts[-1])):
            return found
        place = self._places.get(int(_stem(parts[-1])))
        return None if place is None or self._names[place] is not None else place

    def by_files(self, ids: Sequence[Any], paths: Sequence[str]) -> list[int | None]:
        """The places of the images that have ids and paths in another list.

        Images with file names go by those. The others go by their ids, or, where that finds more of them, by file names
        with these ids in them; what is found one way is not taken for another image the other way.

        Raises:
            AnnotationError: several images are named like one of the paths.
        """
        plain = map(plain_id, ids)
        exact = [self._unnamed(None if one is None else self._places.get(one)) for one in plain]
        called = [self.by_path(path) for path in paths]
        unnamed = [self._unnamed(place) for place in called]
        first, second = (exact, unnamed) if _count(exact) >= _count(unnamed) else (unnamed, exact)
        taken = set(first) - {None}
        found = [
            (None if other in taken else other) if place is None else place
            for place, other in zip(first, second, strict=True)
        ]
        return [
            place if place is not None and self._names[place] is not None else other
            for place, other in zip(called, found, strict=True)
        ]

    def _unnamed(self, place: int | None) -> int | None:
        return None if place is None or self._names[place] is not None else place


def _count(places: Sequence[int | None]) -> int:
    return len(set(places) - {None})


def _same_end(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether one path is the end of the other; the suffix of an image counts only where both have one."""
    shorter = min(len(one), len(other))
    if one[-shorter:-1] != other[-shorter:-1]:
        return False
    a, b = one[-1], other[-1]
    return a == b or (_stem(a) == _stem(b) and (_stem(a) == a or _stem(b) == b))


def _stem(name: str) -> str:
    """A file name without the suffix of an image; with any other it stays whole."""
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in SUFFIXES else name


def _only(places: Sequence[int], name: str) -> int | None:
    if len(set(places)) > 1:
        raise AnnotationError(f"{name!r} could be any of {len(set(places))} images; name their folders too")
    return places[0] if places else None
