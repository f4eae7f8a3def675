"""A data set through an estimator: results that an evaluator can score."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsn.datasets.labelled import ImageFile, PoseDataset
from rsn.errors import AnnotationError
from rsn.images import read_image
from rsn.inference.boxes import BoxFile
from rsn.inference.estimator import PoseEstimator, Scene


@dataclass(frozen=True, eq=False)
class ImageBoxes:
    """An image of a data set and where to look in it: boxes (N, 4) x, y, width, height in pixels, scores (N,)."""

    image: ImageFile
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]


def check_same_body(estimator: PoseEstimator, people: PoseDataset) -> None:
    """Refuse to measure a model on labels of other joints than its own (AnnotationError)."""
    body, labelled = estimator.card.skeleton, people.skeleton
    if body.plain_joints != labelled.plain_joints:
        raise AnnotationError(
            f"the model finds the {len(body)} joints of {body.name}, the annotations have the {len(labelled)} of"
            f" {labelled.name}; take weights and annotations of one body"
        )


def labelled_boxes(people: PoseDataset) -> list[ImageBoxes]:
    """The boxes that the data set itself has, with scores of 1."""
    by_image: dict[ImageFile, list[NDArray[np.float64]]] = {}
    for person in people.people:
        by_image.setdefault(person.image, []).append(person.box)
    return [ImageBoxes(image, np.stack(boxes), np.ones(len(boxes))) for image, boxes in by_image.items()]


def read_boxes(path: Path, people: PoseDataset) -> list[ImageBoxes]:
    """The boxes that a file has for the images of a data set.

    Raises:
        AnnotationError: no boxes of theirs in it, or not a file of boxes.
    """
    file = BoxFile.read(path)
    found = []
    for image in dict.fromkeys(person.image for person in people.people):
        listed = file.of_image(image.id, image.path.name)
        if listed is not None and len(listed[0]):
            found.append(ImageBoxes(image, *listed))
    if not found:
        raise AnnotationError(
            f"{path}: has no boxes for the images of the data set; are they of another set?"
        )
    return found


def estimate_boxes(
    estimator: PoseEstimator, boxes: Sequence[ImageBoxes], *, category_id: int = 1
) -> Iterator[list[dict[str, Any]]]:
    """COCO results, one list an image."""
    scenes = (Scene.of(read_image(image.image.path), image.boxes, image.scores) for image in boxes)
    for image, people in zip(boxes, estimator.estimate(scenes), strict=True):
        yield [person.to_coco(image.image.id, category_id) for person in people]
