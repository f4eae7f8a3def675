"""Find the images of an annotation file in a folder, also where names are spelled as on another system."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from os.path import isdir, isfile
from pathlib import Path

from rsn.data.references import path_parts
from rsn.errors import AnnotationError
from rsn.keypoint_names import normalize_unicode

_YEAR = re.compile(r"^COCO_[a-z]+20\d\d_(?=\d+\.)")


@dataclass(frozen=True)
class LocatedImages:
    """Images on disk.

    paths: of every listed name, in order; for a missing image the path where it should be. respelled: indices of
    names that differ from the name of the file.
    """

    paths: list[Path]
    respelled: list[int]


def locate_images(names: Sequence[str], folder: Path) -> LocatedImages:
    r"""Find images by their listed names in a folder.

    If there is no file with exactly that name, the name may have backslashes between folders (train\1.jpg), other
    accents or letter case, COCO's year before a number (COCO_val2014_000000000139.jpg) or not, and additional parent
    folders, unless another listed name means the same file.
    """
    tree = _FolderTree()
    found = [tree.find(name, folder) for name in names]
    names_of: dict[Path, set[str]] = {}
    for name, one in zip(names, found, strict=True):
        if one is not None:
            names_of.setdefault(one[0], set()).add(name)
    paths, respelled = [], []
    for index, (name, one) in enumerate(zip(names, found, strict=True)):
        if one is None or (not one[1] and len(names_of[one[0]]) > 1):
            paths.append(folder / (name if "\\" not in name else Path(*path_parts(name))))
            continue
        paths.append(one[0])
        if not one[1]:
            respelled.append(index)
    return LocatedImages(paths, respelled)


def check_files(paths: Collection[Path], folder: Path) -> None:
    """Raise an AnnotationError if the folder or some of the images do not exist."""
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


class _FolderTree:
    """Folders on disk; each is listed only once."""

    def __init__(self) -> None:
        self._names: dict[Path, dict[str, list[str]]] = {}  # of each folder, by normalized name

    def find(self, name: str, folder: Path) -> tuple[Path, bool] | None:
        """The file that a name means, and whether the file has exactly this name."""
        path = folder / name
        if path.name and self._entry(path.parent, path.name) == path.name and isfile(path):
            return path, True
        parts = path_parts(name)
        for first in range(len(parts)):
            found = self._descend(folder, parts[first:])
            if found is not None:
                return found, False
        return None

    def _descend(self, folder: Path, parts: Sequence[str]) -> Path | None:
        for part in parts:
            entry = self._entry(folder, part)
            if entry is None:
                return None
            folder /= entry
        return folder if isfile(folder) else None

    def _entry(self, folder: Path, name: str) -> str | None:
        """The entry of a folder with exactly this name, or else the only one with a similar name."""
        if folder not in self._names:
            entries: dict[str, list[str]] = {}
            try:
                for path in folder.iterdir():
                    entries.setdefault(_normalize(path.name), []).append(path.name)
            except (OSError, ValueError):  # ValueError: a null character in the name
                pass
            self._names[folder] = entries
        similar = self._names[folder].get(_normalize(name), [])
        if name in similar:
            return name
        return similar[0] if len(similar) == 1 else None


def _normalize(name: str) -> str:
    return _YEAR.sub("", normalize_unicode(name)).casefold()
