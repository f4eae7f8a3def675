"""Check a COCO-keypoints dataset for issues, and the images of any dataset before they are used."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from filecmp import cmp
from hashlib import blake2b
from os import cpu_count
from os.path import isdir, isfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsn.data import issues as kinds
from rsn.data.annotations import ImageFile
from rsn.data.coco import locate
from rsn.data.issues import Issues, Report
from rsn.data.left_right import find_swapped_names, find_swapped_people
from rsn.data.records import points_outside, read_records
from rsn.errors import AnnotationError, ImageError
from rsn.io.image_formats import orientation_of
from rsn.io.images import read_image
from rsn.io.validation import read_json
from rsn.skeletons import Skeleton

Track = Callable[[Iterable[Any], int], Iterable[Any]]

QUARTER_TURNED = 5  # EXIF orientations from 5 on exchange width and height


def check_dataset(
    annotations: Path,
    images: Path,
    skeleton: Skeleton | None = None,
    *,
    sample: int | None = None,
    seed: int = 0,
    track: Track = lambda items, total: items,
) -> Report:
    """Find all issues of an annotation file and its images.

    skeleton: needed if the file's `categories` do not describe it. sample: number of images to open, chosen by `seed`;
    None opens all. track: passes the opened images on and shows their progress; it also gets their number.

    Raises:
        AnnotationError: the file is missing, not JSON, has no COCO keypoints or no skeleton; or the folder of images
            is missing.
    """
    if not isdir(images):
        raise AnnotationError(f"{images}: there is no such folder of images")
    document = read_json(annotations)
    records = read_records(document, str(annotations), skeleton)
    issues = records.issues
    files = locate(records.images, images, issues)
    people = {
        person.id: person.to_person(files[person.image]) for person in records.annotations if person.image in files
    }
    report = Report(records.where, records.skeleton, len(document["images"]), people, issues)
    records.check_positions()
    _check_people(report)
    _check_images(report, list(files.values()), sample, seed, track)
    issues.sort()
    return report


def _check_people(report: Report) -> None:
    people = {one: person for one, person in report.people.items() if (person.visibility > 0).any()}
    if not people:
        report.found.add(kinds.NO_ANNOTATIONS, "no person")
        return
    keypoints = np.stack([person.keypoints for person in people.values()])
    visibility = np.stack([person.visibility for person in people.values()])
    swapped = find_swapped_names(report.skeleton, keypoints, visibility)
    for sentence in swapped:
        report.found.add(kinds.LEFT_RIGHT_SWAPPED, sentence)
    if not swapped:  # otherwise every person would be suspect
        suspects = find_swapped_people(report.skeleton, keypoints, visibility)
        for one, suspect in zip(people, suspects, strict=True):
            if suspect:
                report.found.add(kinds.LEFT_RIGHT_CONFLICT, one)


def _check_images(report: Report, files: list[ImageFile], sample: int | None, seed: int, track: Track) -> None:
    issue = report.found.add
    points: dict[int | str, list[NDArray[np.float32]]] = defaultdict(list)  # marked, by image
    for person in report.people.values():
        points[person.image.id].append(person.keypoints[person.visibility > 0])
    for file in files:
        if file.id not in points:
            issue(kinds.NO_PEOPLE, file.id)
        if not isfile(file.path):
            issue(kinds.MISSING_IMAGE, file.id, file.path.name)
    present = [file for file in files if isfile(file.path)]
    chosen = set(range(len(present)))
    if sample is not None and sample < len(present):
        chosen = set(random.Random(seed).sample(range(len(present)), sample))
    for index, file in enumerate(present):
        if index not in chosen:
            issue(kinds.NOT_OPENED, file.id)
    present = [present[index] for index in sorted(chosen)]
    contents: dict[bytes, int | str] = {}
    with ThreadPoolExecutor(cpu_count()) as threads:
        opened = zip(present, threads.map(_open, present), strict=True)
        for file, image in track(opened, len(present)):
            if isinstance(image, ImageError):
                issue(kinds.UNREADABLE, file.id, file.path.name)
                continue
            _check_size(report.found, file, image, np.concatenate([np.empty((0, 2)), *points[file.id]]))
            if image.content in contents:
                issue(kinds.DUPLICATE_IMAGE, file.id, f"as {contents[image.content]}")
            contents.setdefault(image.content, file.id)


def check_images(files: Iterable[ImageFile], where: str, *, allowed: float = 0.0, sample: int | None = None) -> None:
    """Open images before they are used; an RsnWarning names those of another size than the dataset says.

    where: the file that lists them, for messages. allowed: fraction of them that may be unreadable, with an
    RsnWarning. sample: number of images to open, evenly distributed; None opens all.

    Raises:
        AnnotationError: too many images cannot be read.
    """
    unique = list(dict.fromkeys(files))
    if sample:
        unique = unique[:: max(1, -(-len(unique) // sample))]
    unreadable, sizes = Issues(), Issues()
    with ThreadPoolExecutor(cpu_count()) as threads:
        for file, image in zip(unique, threads.map(_open, unique), strict=True):
            if isinstance(image, ImageError):
                unreadable.add(kinds.UNREADABLE, file.id, file.path.name)
            else:
                _check_size(sizes, file, image, np.empty((0, 2)))
    if len(unreadable.ids.get(kinds.UNREADABLE, ())) > allowed * len(unique):
        unreadable.raise_errors(where)
    unreadable.warn(where, (kinds.UNREADABLE,))
    sizes.warn(where, (kinds.SIZE_MISMATCH, kinds.EXIF_IGNORED))


def find_duplicate_images(validation: Iterable[Path], training: Iterable[Path]) -> list[Path]:
    """The validation images that are training images too: the same file, or one with the same bytes.

    Files that cannot be read are not duplicates.
    """
    by_size: dict[int, set[Path]] = defaultdict(set)
    for path in set(training):
        by_size[_file_size(path)].add(path)
    by_size.pop(-1, None)
    return [
        path
        for path in sorted(set(validation))
        if any(_is_same(path, other) for other in by_size.get(_file_size(path), ()))
    ]


@dataclass(frozen=True)
class _OpenedImage:
    """size: (width, height), upright. content: hash of the pixels. orientation: of the EXIF data, 1 to 8."""

    size: tuple[int, int]
    content: bytes
    orientation: int


def _open(file: ImageFile) -> _OpenedImage | ImageError:
    """Open an image; an error is returned, since threads open many images."""
    try:
        pixels = read_image(file.path)
        orientation = orientation_of(file.path.read_bytes())
    except ImageError as error:
        return error
    content = blake2b(pixels.tobytes(), digest_size=16, key=str(pixels.shape).encode())
    return _OpenedImage((pixels.shape[1], pixels.shape[0]), content.digest(), orientation)


def _check_size(issues: Issues, file: ImageFile, image: _OpenedImage, points: NDArray[np.floating[Any]]) -> None:
    """Add issues about the size and the marked points (N, 2) that the dataset has for an image."""
    width, height = image.size
    turned = image.orientation >= QUARTER_TURNED
    tells = turned and width != height and file.size is not None  # whether the size tells the orientation
    if tells:
        ignored = file.size == (height, width)
    else:
        outside, outside_stored = (
            points_outside(points, np.asarray(size, np.float64)).any() for size in ((width, height), (height, width))
        )
        ignored = bool(turned and outside and not outside_stored)
    if ignored:
        issues.add(kinds.EXIF_IGNORED, file.id, f"upright it is {width} x {height}")
    elif file.size is not None and file.size != image.size:
        listed = "{:g} x {:g}".format(*file.size)
        issues.add(kinds.SIZE_MISMATCH, file.id, f"{listed}, really {width} x {height}")
    elif image.orientation > 1 and not tells:
        issues.add(kinds.EXIF_ROTATED, file.id)


def _file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path == other or cmp(path, other, shallow=False)
    except OSError:
        return False
