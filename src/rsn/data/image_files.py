"""Where the images that a file lists are on disk, also where it spells their names as another system does."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from os.path import isdir, isfile
from pathlib import Path

from rsn.data.references import parts_of
from rsn.errors import AnnotationError
from rsn.keypoint_names import composed

_YEAR = re.compile(r"^COCO_[a-z]+20\d\d_(?=\d+\.)")


@dataclass(frozen=True)
class Located:
    """Images on disk.

    paths: of each listed name, in order; where none was found, where it should be. respelled: indices of those whose
    names were read otherwise than they are written.
    """

    paths: list[Path]
    respelled: list[int]


def locate_images(names: Sequence[str], folder: Path) -> Located:
    r"""Find images by their listed names in a folder.

    A name counts as it is written. Where there is no such file, it is read with backslashes between folders
    (train\1.jpg), accents composed otherwise, letters in another case, with or without COCO's year in front of a number
    (COCO_val2014_000000000139.jpg), or without the first of its folders, as long as no other name means that file.
    """
    tree = _Tree()
    found = [tree.find(name, folder) for name in names]
    meant: dict[Path, set[str]] = {}
    for name, one in zip(names, found, strict=True):
        if one is not None:
            meant.setdefault(one[0], set()).add(name)
    paths, respelled = [], []
    for place, (name, one) in enumerate(zip(names, found, strict=True)):
        if one is None or (not one[1] and len(meant[one[0]]) > 1):
            paths.append(folder / (name if "\\" not in name else Path(*parts_of(name))))
            continue
        paths.append(one[0])
        if not one[1]:
            respelled.append(place)
    return Located(paths, respelled)


def check_files(paths: Collection[Path], folder: Path) -> None:
    """Refuse (AnnotationError) a folder that does not exist or lacks some of the images."""
    if not isdir(folder):
        raise AnnotationError(f"{folder}: there is no such folder of images")
    missing = sorted(path for path in paths if not isfile(path))
    if not missing:
        return
    name = missing[0].name
    elsewhere = next((path for path in folder.rglob("*") if path.name == name), None) if name else None
    hint = f"; {elsewhere.parent} has it, name that folder" if elsewhere else ""
    raise AnnotationError(
        f"{missing[0]}: named by the annotations but not in the images folder;"
        f" {len(missing)} of {len(set(paths))} images are missing there{hint}"
    )


class _Tree:
    """Folders on disk, each listed once."""

    def __init__(self) -> None:
        self._listed: dict[Path, set[str]] = {}
        self._spelled: dict[Path, dict[str, list[str]]] = {}

    def find(self, name: str, folder: Path) -> tuple[Path, bool] | None:
        """The file that a name means, and whether the name is written so."""
        path = folder / name
        if self._has(path):
            return path, True
        parts = parts_of(name)
        for first in range(len(parts)):
            found = self._run_branch(folder, parts[first:])
            if found is not None:
                return found, False
        return None

    def _has(self, path: Path) -> bool:
        return path.name in self._names(path.parent) and isfile(path) if path.name else False

    def _run_branch(self, folder: Path, parts: Sequence[str]) -> Path | None:
        """A path below a folder, each part by the name that is there, or else the only one that is like it."""
        for part in parts:
            there = part if part in self._names(folder) else self._like(folder, part)
            if there is None:
                return None
            folder /= there
        return folder if isfile(folder) else None

    def _names(self, folder: Path) -> set[str]:
        if folder not in self._listed:
            try:
                self._listed[folder] = {entry.name for entry in folder.iterdir()}
            except (OSError, ValueError):  # the second: a name with a zero byte
                self._listed[folder] = set()
        return self._listed[folder]

    def _like(self, folder: Path, part: str) -> str | None:
        if folder not in self._spelled:
            spelled: dict[str, list[str]] = {}
            for name in self._names(folder):
                spelled.setdefault(_plain(name), []).append(name)
            self._spelled[folder] = spelled
        like = self._spelled[folder].get(_plain(part), [])
        return like[0] if len(like) == 1 else None


def _plain(name: str) -> str:
    return _YEAR.sub("", composed(name)).casefold()
