"""Photos in files -> people, drawn pictures and a results file."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsn.crops import Image
from rsn.errors import RsnError
from rsn.files import write_atomically
from rsn.images import read_image, write_image
from rsn.inference.boxes import BoxSource
from rsn.inference.drawing import draw_people
from rsn.inference.estimator import PoseEstimator, Scene
from rsn.people import Person
from rsn.skeletons import Skeleton

RESULTS = "poses.json"


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo and the people in it."""

    path: Path
    image: Image
    people: list[Person]


def estimate_photos(
    estimator: PoseEstimator,
    paths: Sequence[Path],
    boxes: BoxSource,
    on_error: Callable[[Path, RsnError], None],
) -> Iterator[Photo]:
    """Photos one after the other, their crops batched together.

    A photo that cannot be read, or whose boxes cannot be, goes to `on_error` and is left out; the others are done.
    """
    waiting: list[tuple[Path, Image]] = []

    def scenes() -> Iterator[Scene]:
        for path in paths:
            try:
                image = read_image(path)
                scene = Scene.of(image, *boxes(path, image))
            except RsnError as error:
                on_error(path, error)
                continue
            waiting.append((path, image))
            yield scene

    for people in estimator.estimate(scenes()):
        path, image = waiting.pop(0)
        yield Photo(path, image, people)


def write_picture(photo: Photo, skeleton: Skeleton, path: Path) -> None:
    """The photo with its people drawn on it."""
    write_image(path, draw_people(photo.image, photo.people, skeleton))


def picture_paths(paths: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Where each photo's picture goes: folder/NAME_poses.jpg, numbered where two photos have one name."""
    taken: set[str] = set()
    places: dict[Path, Path] = {}
    for path in paths:
        name, count = f"{path.stem}_poses", 1
        while name in taken:
            count += 1
            name = f"{path.stem}_poses_{count}"
        taken.add(name)
        places[path] = folder / f"{name}.jpg"
    return places


def results(photos: Sequence[tuple[Path, list[Person]]], skeleton: Skeleton) -> list[dict[str, Any]]:
    """COCO keypoint results, with the file, the box and the joint names added to each entry.

    image_id is the number that a file is named by, as in COCO, where all of them are; otherwise they are counted
    from 1.
    """
    numbered = all(path.stem.isdecimal() for path, _ in photos)
    entries = []
    for count, (path, people) in enumerate(photos, start=1):
        image_id = int(path.stem) if numbered else count
        for person in people:
            named = {"file_name": str(path), "joint_names": list(skeleton.joints)}
            entries.append(person.to_coco(image_id) | named)
    return entries


def write_results(entries: list[dict[str, Any]], folder: Path) -> Path:
    """Write the entries to folder/poses.json; returns the path."""
    path = folder / RESULTS
    write_atomically(path, (json.dumps(entries, indent=1) + "\n").encode())
    return path
