"""Find an image of a list by an id, which may be a number or a text, or by its file name, stem or path."""

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from rsn.data.values import Id, normalize_id
from rsn.errors import AnnotationError
from rsn.io.image_formats import SUFFIXES
from rsn.keypoint_names import normalize_unicode

_DIGITS = re.compile(r"\d{1,20}", re.ASCII)


def path_parts(name: str) -> tuple[str, ...]:
    """Folders and file of a path of any operating system, accents composed, without root or drive."""
    parts = PurePosixPath(normalize_unicode(name.strip()).replace("\\", "/")).parts
    return parts[1:] if parts and (parts[0] == "/" or re.fullmatch("[A-Za-z]:", parts[0])) else parts


class References:
    """Find images by id and file name; the result is an index into the list.

    ids, names: of each image; None if it has none. A repeated id means the first image.
    """

    def __init__(self, ids: Sequence[Any], names: Sequence[str | None]) -> None:
        self._names = names
        self._ids = [normalize_id(one) for one in ids]
        self._by_id: dict[Id, int] = {}
        for index, one in enumerate(self._ids):
            if one is not None:
                self._by_id.setdefault(one, index)

    @cached_property
    def _parts(self) -> list[tuple[str, ...]]:
        """Folders and file of each image; without a file name the id, which may be the name or its stem."""
        names = (
            ("" if one is None else str(one)) if name is None else name
            for one, name in zip(self._ids, self._names, strict=True)
        )
        return [path_parts(name) for name in names]

    @cached_property
    def _by_stem(self) -> dict[str, list[int]]:
        stems: dict[str, list[int]] = {}
        for index, parts in enumerate(self._parts):
            if parts:
                stems.setdefault(_stem(parts[-1]), []).append(index)
        return stems

    @cached_property
    def _by_number(self) -> dict[int, list[int]]:
        """By the number that a file name consists of."""
        numbers: dict[int, list[int]] = {}
        for stem, indices in self._by_stem.items():
            if _DIGITS.fullmatch(stem):
                numbers.setdefault(int(stem), []).extend(indices)
        return numbers

    def by_id(self, value: Any) -> int | None:
        """The image with an id, or else with it as file name, as stem, or as number in the file name.

        Raises:
            AnnotationError: several images match.
        """
        one = normalize_id(value)
        if one is None:
            return None
        if one in self._by_id:
            return self._by_id[one]
        found = self.by_name(str(value))
        if found is None and isinstance(one, int):
            found = _only(self._by_number.get(one, []), str(value))
        return found

    def by_name(self, name: str) -> int | None:
        """The image with a file name or path; folders and suffix may be missing on either side.

        Raises:
            AnnotationError: several images match.
        """
        parts = path_parts(name)
        if not parts:
            return None
        similar = [index for index in self._by_stem.get(_stem(parts[-1]), ()) if _same_end(parts, self._parts[index])]
        exact = [index for index in similar if parts == self._parts[index]]
        return _only(exact or similar, name)

    def by_path(self, name: str) -> int | None:
        """As `by_name`; the number in the file name may also be the id of an image without file name.

        Raises:
            AnnotationError: several images match.
        """
        found, parts = self.by_name(name), path_parts(name)
        if found is not None or not parts or not _DIGITS.fullmatch(_stem(parts[-1])):
            return found
        return self._unnamed(self._by_id.get(int(_stem(parts[-1]))))

    def by_files(self, ids: Sequence[Any], paths: Sequence[str]) -> list[int | None]:
        """The images with these ids and paths in another list, for each of them.

        Images with file names are found by those. The others are found by their ids, or by the numbers in the file
        names if that finds more of them; an image that was found one way is not used again for the other way.

        Raises:
            AnnotationError: several images match one of the paths.
        """
        normalized = map(normalize_id, ids)
        with_id = [self._unnamed(None if one is None else self._by_id.get(one)) for one in normalized]
        by_path = [self.by_path(path) for path in paths]
        with_number = [self._unnamed(index) for index in by_path]
        first, second = with_id, with_number
        if len(set(with_number) - {None}) > len(set(with_id) - {None}):
            first, second = second, first
        used = set(first) - {None}
        unnamed = [
            (None if other in used else other) if index is None else index
            for index, other in zip(first, second, strict=True)
        ]
        return [
            index if index is not None and self._names[index] is not None else other
            for index, other in zip(by_path, unnamed, strict=True)
        ]

    def _unnamed(self, index: int | None) -> int | None:
        return None if index is None or self._names[index] is not None else index


def _same_end(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether one path is the end of the other; suffixes of images are compared only if both have one."""
    shorter = min(len(one), len(other))
    if one[-shorter:-1] != other[-shorter:-1]:
        return False
    a, b = one[-1], other[-1]
    return a == b or (_stem(a) == _stem(b) and (_stem(a) == a or _stem(b) == b))


def _stem(name: str) -> str:
    """A file name without the suffix of an image; any other suffix stays."""
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in SUFFIXES else name


def _only(indices: Sequence[int], name: str) -> int | None:
    if len(set(indices)) > 1:
        raise AnnotationError(f"{name!r} could be any of {len(set(indices))} images; name their folders too")
    return indices[0] if indices else None
