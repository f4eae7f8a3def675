"""Opening the images of a data set before anything depends on them."""

from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from filecmp import cmp
from hashlib import blake2b
from os import cpu_count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsn.data import issues as kinds
from rsn.data import placement_checks as placement
from rsn.data.annotations import ImageFile
from rsn.data.issues import Issues
from rsn.errors import ImageError
from rsn.io.image_formats import orientation_of
from rsn.io.images import read_image

FIRST_ON_ITS_SIDE = 5  # of EXIF's orientations; 5 to 8 are turned by a quarter


@dataclass(frozen=True)
class OpenedImage:
    """What an image is like: (width, height) in pixels once it is upright, a hash of the pixels, EXIF's orientation."""

    size: tuple[int, int]
    content: bytes
    orientation: int

    @property
    def is_turned(self) -> bool:
        """Whether it is stored on its side."""
        return self.orientation >= FIRST_ON_ITS_SIDE

    @property
    def on_its_side(self) -> bool:
        """Whether width and height tell the stored image from the upright one."""
        return self.is_turned and self.size[0] != self.size[1]


def look(file: ImageFile) -> OpenedImage | ImageError:
    """Open an image; the error is returned, so that many can be opened by threads."""
    try:
        pixels = read_image(file.path)
        orientation = orientation_of(file.path.read_bytes())
    except ImageError as error:
        return error
    content = blake2b(pixels.tobytes(), digest_size=16, key=str(pixels.shape).encode())
    return OpenedImage((pixels.shape[1], pixels.shape[0]), content.digest(), orientation)


def examine_size(
    issues: Issues, file: ImageFile, looked: OpenedImage, points: NDArray[np.floating[Any]]
) -> None:
    """Add to the findings what an image says about the size and the keypoints (N, 2) that a data set gives it."""
    if _is_unrotated(file, looked, points):
        issues.add(kinds.EXIF_IGNORED, file.id, "upright it is {} x {}".format(*looked.size))
    elif file.size is not None and file.size != looked.size:
        said, real = ("{:g} x {:g}".format(*size) for size in (file.size, looked.size))
        issues.add(kinds.SIZE_MISMATCH, file.id, f"{said}, really {real}")
    elif looked.orientation > 1 and not (looked.on_its_side and file.size):
        issues.add(kinds.EXIF_ROTATED, file.id)


def check_images(
    files: Iterable[ImageFile], where: str, *, allowed: float = 0.0, sample: int | None = None
) -> None:
    """Open images that are going to be needed, each once; where one has another size than told, an RsnWarning says so.

    where: the file that lists them, for messages. allowed: the share of them that may be unreadable, which is then an
    RsnWarning, too. sample: how many to open, evenly spread; all of them where it is None.

    Raises:
        AnnotationError: images that cannot be read, in the words of `rsn data check`.
    """
    once = list(dict.fromkeys(files))
    once = once[:: max(1, -(-len(once) // sample))] if sample else once
    issues, sizes = Issues(), Issues()
    with ThreadPoolExecutor(cpu_count()) as threads:
        for file, looked in zip(once, threads.map(look, once), strict=True):
            if isinstance(looked, ImageError):
                issues.add(kinds.UNREADABLE, file.id, file.path.name)
            else:
                examine_size(sizes, file, looked, np.empty((0, 2)))
    if len(issues.ids.get(kinds.UNREADABLE, ())) > allowed * len(once):
        issues.refuse(where)
    issues.tell(where, (kinds.UNREADABLE,))
    sizes.tell(where, (kinds.SIZE_MISMATCH, kinds.EXIF_IGNORED))


def _is_unrotated(file: ImageFile, looked: OpenedImage, points: NDArray[np.floating[Any]]) -> bool:
    """Whether the labels were made on the stored image, which lies on its side: by the size, else by keypoints."""
    width, height = looked.size
    if not looked.is_turned:
        return False
    if file.size is not None and looked.on_its_side:
        return file.size == (height, width)
    outside, inside = (
        placement.points_outside(points, np.asarray(size)) for size in ((width, height), (height, width))
    )
    return bool(outside.any() and not inside.any())


def find_duplicate_images(validation: Iterable[Path], training: Iterable[Path]) -> list[Path]:
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
