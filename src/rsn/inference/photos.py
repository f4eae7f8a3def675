"""Photos in files -> people, drawn pictures and a results file."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rsn.crops import Image
from rsn.errors import RsnError
from rsn.files import distinct, write_atomically
from rsn.images import read_image, write_image
from rsn.inference.box_checks import BoxNotes
from rsn.inference.boxes import Boxes, BoxSource
from rsn.inference.drawing import draw_scene
from rsn.inference.estimator import PoseEstimator, Scene, View
from rsn.inference.heat import heat_of
from rsn.inference.pipeline import in_order
from rsn.inference.style import Style
from rsn.people import Person
from rsn.skeletons import Skeleton

RESULTS = "poses.json"
READERS = 2  # threads that read photos and cut out crops
PHOTOS_AHEAD = 16  # that are read before the network asks for them
OnError = Callable[[Path, RsnError], None]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo and the people in it."""

    path: Path
    image: Image
    people: list[Person]


def predict_photos(
    estimator: PoseEstimator,
    paths: Sequence[Path],
    boxes: BoxSource,
    folder: Path,
    on_error: OnError,
    *,
    detected: bool = False,
    style: Style | None = None,
    notes: BoxNotes | None = None,
) -> Iterator[Photo]:
    """Estimate photos and write each one's picture, NAME_poses.jpg (or as the style says), into a folder; in order.

    A photo that cannot be read, whose boxes cannot be, or whose picture cannot be written goes to `on_error`; what
    is yielded was done completely. Threads read, draw and write while the caller's runs the network.

    notes: receives what is to be said about the boxes, of which those that cannot be looked at are left out.
    """
    style = (style or Style()).with_defaults(estimator.card.keypoint_threshold)
    pictures = _picture_paths(paths, folder, style.format)

    def draw(seen: tuple[Photo, NDArray[np.float32] | None]) -> tuple[Photo, RsnError | None]:
        photo, heat = seen
        ids = range(1, len(photo.people) + 1)
        try:
            drawn = draw_scene(photo.image, photo.people, estimator.card.skeleton, style, ids=ids, heat=heat)
            write_image(pictures[photo.path], drawn)
        except RsnError as error:
            return photo, error
        return photo, None

    photos = estimate_photos(estimator, paths, boxes, on_error, detected=detected, notes=notes)
    seen = (
        (photo, heat_of(estimator, photo.image, photo.people) if style.heatmaps else None) for photo in photos
    )
    # As many as a batch may finish at once, so that the next batch need not wait for them.
    for photo, error in in_order(draw, seen, threads=1, ahead=estimator.batch_size):
        if error is None:
            yield photo
        else:
            on_error(photo.path, error)


def estimate_photos(
    estimator: PoseEstimator,
    paths: Sequence[Path],
    boxes: BoxSource,
    on_error: OnError,
    *,
    detected: bool = False,
    notes: BoxNotes | None = None,
) -> Iterator[Photo]:
    """Photos in order, their crops batched together; one that fails goes to `on_error` and is left out.

    detected: whether the boxes are those of a detector, see `PoseEstimator.select`.
    notes: as in `predict_photos`.
    """
    images = estimate_images(estimator, paths, read_image, boxes, on_error, detected=detected, notes=notes)
    for path, image, people in images:
        yield Photo(path, image, people)


def estimate_images(
    estimator: PoseEstimator,
    items: Iterable[T],
    read: Callable[[T], Image],
    boxes: Callable[[T, Image], Boxes],
    on_error: Callable[[T, RsnError], None],
    *,
    detected: bool = False,
    notes: BoxNotes | None = None,
    threads: int = READERS,
    measured: Callable[[Iterator[Any]], Iterator[Any]] = iter,
) -> Iterator[tuple[T, Image, list[Person]]]:
    """Images of any kind of source, in order, and their people; crops are batched across images.

    Args:
        read: an item's pixels. boxes: where its people are. Threads call both; an item for which one of them raises an
            RsnError, or that has boxes but no usable one, goes to `on_error` and is left out.
        detected, notes: as in `estimate_photos`.
        threads: how many read.
        measured: wraps the images that the network is given, as to measure how long it waits for them.
    """

    def prepare(item: T) -> tuple[T, tuple[Image, list[View], BoxNotes] | RsnError]:
        try:
            image = read(item)
            scene, said = Scene.within(image, *boxes(item, image))
            said.check(str(item))
            return item, (image, estimator.preprocess(scene), said)
        except RsnError as error:
            return item, error

    waiting: deque[tuple[T, Image]] = deque()

    def views() -> Iterator[list[View]]:
        for item, prepared in measured(
            in_order(prepare, items, threads=threads, ahead=max(PHOTOS_AHEAD, 2 * threads))
        ):
            if isinstance(prepared, RsnError):
                on_error(item, prepared)
                continue
            image, cut, said = prepared
            if notes is not None:
                notes.add(said)
            waiting.append((item, image))
            yield cut

    for people in estimator.estimate_views(views()):
        yield *waiting.popleft(), estimator.select(people, detected=detected)


def _picture_paths(paths: Sequence[Path], folder: Path, suffix: str) -> dict[Path, Path]:
    """Where each photo's picture goes: folder/NAME_poses.SUFFIX, numbered where two photos have one name."""
    names = distinct(f"{path.stem}_poses" for path in paths)
    return {path: folder / f"{name}.{suffix}" for path, name in zip(paths, names, strict=True)}


def results(photos: Sequence[tuple[Path, list[Person]]], skeleton: Skeleton) -> list[dict[str, Any]]:
    """COCO keypoint results, with the file, the box and the joint names added to each entry.

    image_id is the number that a file is named by, as in COCO, where all of them are and no two by the same; otherwise
    they are counted from 1.
    """
    numbers = [int(path.stem) for path, _ in photos if path.stem.isdecimal()]
    if len(set(numbers)) < len(photos):
        numbers = list(range(1, len(photos) + 1))
    entries = []
    for image_id, (path, people) in zip(numbers, photos, strict=True):
        for person in people:
            named = {"file_name": str(path), "joint_names": list(skeleton.joints)}
            entries.append(person.to_coco(image_id) | named)
    return entries


def write_results(entries: list[dict[str, Any]], folder: Path) -> Path:
    """Write the entries to folder/poses.json; returns the path."""
    path = folder / RESULTS
    write_atomically(path, (json.dumps(entries, indent=1) + "\n").encode())
    return path
