"""Images in files -> people, drawn images and a results file."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rsn.errors import RsnError
from rsn.geometry import Image
from rsn.inference.box_checks import BoxNotes
from rsn.inference.box_sources import Boxes, BoxSource
from rsn.inference.estimator import ImageWithBoxes, PersonCrop, PoseEstimator
from rsn.inference.prefetch import ordered_map
from rsn.io.files import atomic_write, unique_names
from rsn.io.images import read_image, write_image
from rsn.results import Person
from rsn.skeletons import Skeleton
from rsn.visualization.drawing import draw_result
from rsn.visualization.heatmaps import image_heatmap
from rsn.visualization.options import DrawOptions

RESULTS = "poses.json"
READERS = 2  # threads that read images and cut out crops
IMAGES_AHEAD = 16  # that are read before the network asks for them
OnError = Callable[[Path, RsnError], None]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class ImagePrediction:
    """An image and the people in it."""

    path: Path
    image: Image
    people: list[Person]


def predict_image_files(
    estimator: PoseEstimator,
    paths: Sequence[Path],
    boxes: BoxSource,
    folder: Path,
    on_error: OnError,
    *,
    detection_boxes: bool = False,
    style: DrawOptions | None = None,
    notes: BoxNotes | None = None,
) -> Iterator[ImagePrediction]:
    """Estimate images and write each one's image, NAME_poses.jpg (or as the style says), into a folder; in order.

    An image that cannot be read, whose boxes cannot be, or whose image cannot be written goes to `on_error`; what
    is yielded was done completely. Threads read, draw and write while the caller's runs the network.

    notes: receives what is to be said about the boxes, of which those that cannot be looked at are left out.
    """
    style = (style or DrawOptions()).with_defaults(estimator.metadata.keypoint_threshold)
    stored_images = _image_paths(paths, folder, style.format)

    def draw(
        seen: tuple[ImagePrediction, NDArray[np.float32] | None],
    ) -> tuple[ImagePrediction, RsnError | None]:
        image, heat = seen
        ids = range(1, len(image.people) + 1)
        try:
            drawn = draw_result(
                image.image, image.people, estimator.metadata.skeleton, style, ids=ids, heat=heat
            )
            write_image(stored_images[image.path], drawn)
        except RsnError as error:
            return image, error
        return image, None

    image_files = predict_images(
        estimator, paths, boxes, on_error, detection_boxes=detection_boxes, notes=notes
    )
    seen = (
        (image, image_heatmap(estimator, image.image, image.people) if style.heatmaps else None)
        for image in image_files
    )
    # As many as a batch may finish at once, so that the next batch need not wait for them.
    for image, error in ordered_map(draw, seen, threads=1, ahead=estimator.batch_size):
        if error is None:
            yield image
        else:
            on_error(image.path, error)


def predict_images(
    estimator: PoseEstimator,
    paths: Sequence[Path],
    boxes: BoxSource,
    on_error: OnError,
    *,
    detection_boxes: bool = False,
    notes: BoxNotes | None = None,
) -> Iterator[ImagePrediction]:
    """Images in order, their crops batched together; one that fails goes to `on_error` and is left out.

    detected: whether the boxes are those of a detector, see `PoseEstimator.select`.
    notes: as in `predict_image_files`.
    """
    images = estimate_images(
        estimator, paths, read_image, boxes, on_error, detection_boxes=detection_boxes, notes=notes
    )
    for path, image, people in images:
        yield ImagePrediction(path, image, people)


def estimate_images(
    estimator: PoseEstimator,
    items: Iterable[T],
    read: Callable[[T], Image],
    boxes: Callable[[T, Image], Boxes],
    on_error: Callable[[T, RsnError], None],
    *,
    detection_boxes: bool = False,
    notes: BoxNotes | None = None,
    threads: int = READERS,
    measured: Callable[[Iterator[Any]], Iterator[Any]] = iter,
) -> Iterator[tuple[T, Image, list[Person]]]:
    """Images of any kind of source, in order, and their people; crops are batched across images.

    Args:
        read: an item's pixels. boxes: where its people are. Threads call both; an item for which one of them raises an
            RsnError, or that has boxes but no usable one, goes to `on_error` and is left out.
        detected, notes: as in `predict_images`.
        threads: how many read.
        measured: wraps the images that the network is given, as to measure how long it waits for them.
    """

    def prepare(item: T) -> tuple[T, tuple[Image, list[PersonCrop], BoxNotes] | RsnError]:
        try:
            image = read(item)
            image_with_boxes, said = ImageWithBoxes.within(image, *boxes(item, image))
            said.check(str(item))
            return item, (image, estimator.preprocess(image_with_boxes), said)
        except RsnError as error:
            return item, error

    waiting: deque[tuple[T, Image]] = deque()

    def views() -> Iterator[list[PersonCrop]]:
        for item, prepared in measured(
            ordered_map(prepare, items, threads=threads, ahead=max(IMAGES_AHEAD, 2 * threads))
        ):
            if isinstance(prepared, RsnError):
                on_error(item, prepared)
                continue
            image, cut, said = prepared
            if notes is not None:
                notes.add(said)
            waiting.append((item, image))
            yield cut

    for people in estimator.predict_crops(views()):
        yield *waiting.popleft(), estimator.select(people, detection_boxes=detection_boxes)


def _image_paths(paths: Sequence[Path], folder: Path, suffix: str) -> dict[Path, Path]:
    """Where each image's image goes: folder/NAME_poses.SUFFIX, numbered where two images have one name."""
    names = unique_names(f"{path.stem}_poses" for path in paths)
    return {path: folder / f"{name}.{suffix}" for path, name in zip(paths, names, strict=True)}


def results(image_files: Sequence[tuple[Path, list[Person]]], skeleton: Skeleton) -> list[dict[str, Any]]:
    """COCO keypoint results, with the file, the box and the keypoint names added to each entry.

    image_id is the number that a file is named by, as in COCO, where all of them are and no two by the same; otherwise
    they are counted from 1.
    """
    numbers = [int(path.stem) for path, _ in image_files if path.stem.isdecimal()]
    if len(set(numbers)) < len(image_files):
        numbers = list(range(1, len(image_files) + 1))
    entries = []
    for image_id, (path, people) in zip(numbers, image_files, strict=True):
        for person in people:
            named = {"file_name": str(path), "keypoint_names": list(skeleton.keypoint_names)}
            entries.append(person.to_coco(image_id) | named)
    return entries


def write_results(entries: list[dict[str, Any]], folder: Path) -> Path:
    """Write the entries to folder/poses.json; returns the path."""
    path = folder / RESULTS
    atomic_write(path, (json.dumps(entries, indent=1) + "\n").encode())
    return path
