"""Image files -> results, drawn images and poses.json."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rsn.errors import RsnError
from rsn.geometry import Image
from rsn.inference.box_checks import BoxNotes, filter_boxes
from rsn.inference.box_sources import BoxSource
from rsn.inference.estimator import PoseEstimator
from rsn.inference.pipeline import ImageInput
from rsn.inference.prefetch import ordered_map
from rsn.io.files import atomic_write, unique_names
from rsn.io.images import read_image, write_image
from rsn.results import PoseResult
from rsn.visualization.drawing import draw
from rsn.visualization.heatmaps import image_heatmap
from rsn.visualization.options import DrawOptions

RESULTS = "poses.json"


def add_boxes(name: str, image: Image, boxes: BoxSource | None, notes: BoxNotes) -> ImageInput:
    """An image with its boxes, for `PoseEstimator.stream`.

    Args:
        name: of the image, for `boxes` and for messages. image: (H, W, 3) uint8 RGB.
        boxes: where the persons are; None lets the estimator's detector find them.
        notes: receives what is reported about boxes; those that cannot be used are left out.

    Raises:
        AnnotationError: there are boxes, but none can be used.
    """
    if boxes is None:
        return ImageInput(image)
    bboxes, scores, found = filter_boxes(*boxes(Path(name), image), image.shape[:2])
    found.check(name)
    notes.add(found)
    return ImageInput(image, (bboxes, scores))


def predict_files(
    estimator: PoseEstimator,
    paths: Sequence[Path],
    folder: Path,
    *,
    boxes: BoxSource | None = None,
    options: DrawOptions | None = None,
    notes: BoxNotes | None = None,
) -> Iterator[tuple[Path, PoseResult | RsnError]]:
    """Estimate images and write the drawn image of each into a folder, as NAME_poses.jpg or as the options say.

    Yields each path in order, with its result (without the image), or with the error of an image that could not be
    read, estimated or written. Threads read, draw and write while the caller's thread runs the network.

    boxes, notes: as in `add_boxes`.
    """
    options = options or DrawOptions()
    notes = BoxNotes() if notes is None else notes
    drawn = _drawn_paths(paths, folder, options.format)

    def read(path: Path) -> ImageInput:
        return add_boxes(str(path), read_image(path), boxes, notes)

    def write(item: tuple[Path, PoseResult | RsnError, Any]) -> tuple[Path, PoseResult | RsnError]:
        path, result, heatmap = item
        if isinstance(result, RsnError):
            return path, result
        assert result.image is not None
        try:
            write_image(drawn[path], draw(result.image, result, options, heatmap=heatmap))
        except RsnError as error:
            return path, error
        return path, replace(result, image=None)

    estimated = (
        (path, result, _heatmap(estimator, result) if options.heatmaps else None)
        for path, result in estimator.stream(paths, read)
    )
    # As many as a batch may finish at once, so that the next batch need not wait for them.
    yield from ordered_map(write, estimated, threads=1, ahead=estimator.batch_size)


def _heatmap(estimator: PoseEstimator, result: PoseResult | RsnError) -> Any:
    return None if isinstance(result, RsnError) else image_heatmap(estimator, result)


def _drawn_paths(paths: Sequence[Path], folder: Path, suffix: str) -> dict[Path, Path]:
    """The drawn image of each image: folder/NAME_poses.SUFFIX, numbered where two images have the same name."""
    names = unique_names(f"{path.stem}_poses" for path in paths)
    return {path: folder / f"{name}.{suffix}" for path, name in zip(paths, names, strict=True)}


def to_coco_results(results: Iterable[tuple[Path, PoseResult]]) -> list[dict[str, Any]]:
    """COCO keypoint results of images, with the file and the keypoint names added to each entry.

    image_id is the number in the file's name, as in COCO, where all names are different numbers; otherwise images are
    counted from 1.
    """
    results = list(results)
    numbers = [int(path.stem) for path, _ in results if path.stem.isdecimal()]
    if len(set(numbers)) < len(results):
        numbers = list(range(1, len(results) + 1))
    return [
        entry | {"file_name": str(path), "keypoint_names": list(result.skeleton.keypoint_names)}
        for image_id, (path, result) in zip(numbers, results, strict=True)
        for entry in result.to_coco(image_id)
    ]


def write_results(entries: list[dict[str, Any]], folder: Path) -> Path:
    """Write the entries to folder/poses.json; returns the path."""
    path = folder / RESULTS
    atomic_write(path, (json.dumps(entries, indent=1) + "\n").encode())
    return path
