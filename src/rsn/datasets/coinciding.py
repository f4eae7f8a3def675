"""Images that are in two sets, under whatever names."""

from collections import defaultdict
from collections.abc import Iterable
from filecmp import cmp
from pathlib import Path


def coinciding(validation: Iterable[Path], training: Iterable[Path]) -> list[Path]:
    """The images to validate with that are trained on too: the same file, or a copy of it, byte for byte.

    Only files of equal size are compared. Files that cannot be read coincide with nothing.
    """
    by_size: dict[int, set[Path]] = defaultdict(set)
    for path in set(training):
        by_size[_size(path)].add(path)
    by_size.pop(-1, None)
    return [
        path
        for path in sorted(set(validation))
        if any(_is_same(path, other) for other in by_size.get(_size(path), ()))
    ]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path == other or cmp(path, other, shallow=False)
    except OSError:
        return False
