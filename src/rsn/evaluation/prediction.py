"""A data set through an estimator: results that an evaluator can score."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsn.data.annotations import ImageFile, PoseDataset
from rsn.data.box_values import SMALLEST_BOX
from rsn.data.image_checks import check_images
from rsn.distributed import gather, shard
from rsn.errors import AnnotationError
from rsn.inference.box_checks import TOO_SMALL, BoxNotes, reasons
from rsn.inference.box_sources import BoxFile
from rsn.inference.estimator import ImageWithBoxes, PoseEstimator
from rsn.io.images import read_image
from rsn.oks import THRESHOLD, Nms, deduplicate
from rsn.skeletons import Skeleton

Results = list[dict[str, Any]]  # of one image


@dataclass(frozen=True, eq=False)
class ImageBoxes:
    """An image of a data set and where to look in it: boxes (N, 4) x, y, width, height in pixels, scores (N,)."""

    image: ImageFile
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]


def check_same_skeleton(estimator: PoseEstimator, people: PoseDataset) -> None:
    """Refuse to measure a model on labels of other keypoints than its own (AnnotationError); their order may differ."""
    skeleton, labeled = estimator.metadata.skeleton, people.skeleton
    if skeleton.order_in(labeled) is not None:
        return
    shared = skeleton.positions_in(labeled)
    missing = [
        keypoint
        for place, keypoint in enumerate(skeleton.keypoint_names)
        if place not in {a for a, _ in shared}
    ]
    unknown = [
        keypoint
        for place, keypoint in enumerate(labeled.keypoint_names)
        if place not in {b for _, b in shared}
    ]
    differences = [
        f"{what} {', '.join(keypoints[:6])}{' and others' if len(keypoints) > 6 else ''}"
        for what, keypoints in (("not annotated are", missing), ("the model does not know", unknown))
        if keypoints
    ]
    raise AnnotationError(
        f"the model finds the {len(skeleton)} keypoints of {skeleton.name}, the annotations have the {len(labeled)} of"
        f" {labeled.name} ({'; '.join(differences)}); take weights and annotations of one skeleton"
    )


def labeled_boxes(people: PoseDataset) -> list[ImageBoxes]:
    """The boxes that the data set itself has, with scores of 1."""
    by_image: dict[ImageFile, list[NDArray[np.float64]]] = {}
    for person in people.people:
        by_image.setdefault(person.image, []).append(person.box)
    return [ImageBoxes(image, np.stack(boxes), np.ones(len(boxes))) for image, boxes in by_image.items()]


@dataclass(frozen=True, eq=False)
class DatasetBoxes:
    """Where people are looked for in a data set.

    images: those with a box. skipped: boxes that are not looked at, by reason. nobody: images without a box.
    """

    images: list[ImageBoxes]
    skipped: Counter[str]
    nobody: int = 0

    def summary(self) -> str:
        """One line: how many boxes and images, and what was left out."""
        text = f"{sum(len(image.boxes) for image in self.images)} in {len(self.images)} images"
        text += f"; {self.nobody} images without any" if self.nobody else ""
        return text + _told(self.skipped)


def read_boxes(
    path: Path,
    images: Sequence[ImageFile],
    *,
    category: str | None = None,
    category_ids: Collection[int | str] = (1,),
    min_score: float = 0.0,
) -> DatasetBoxes:
    """The boxes that a file has for images: those of some categories, of a pixel or more, with at least a score.

    category: as in `BoxFile.read`. category_ids: of the annotations, which count where no category is asked for.

    Raises:
        AnnotationError: no boxes for the images in it, or not a file of boxes.
    """
    file = BoxFile.read(path, category=category, category_ids=category_ids)
    skipped = Counter(file.skipped)
    found, known = [], 0
    listed, otherwise = file.of_files(images), file.of_other_size(images)
    for image, given, of_other_size in zip(images, listed, otherwise, strict=True):
        boxes, scores = given or (np.empty((0, 4)), np.empty(0))
        known += len(boxes)
        if of_other_size:
            skipped["of an image of another size"] += len(boxes)
            continue
        low = scores < min_score
        small = ~low & (boxes[:, 2:].min(1, initial=np.inf) < SMALLEST_BOX)
        skipped[f"with a score below {min_score:g}"] += int(low.sum())
        skipped[TOO_SMALL] += int(small.sum())
        kept = ~(low | small)
        if kept.any():
            found.append(ImageBoxes(image, boxes[kept], scores[kept]))
    skipped["of images that are not in the data set"] += len(file) - known
    if not found:
        shares = "; boxes are x, y, width, height in pixels of the image" if skipped[TOO_SMALL] else ""
        why = _told(+skipped) + shares or "; are they of another set?"
        raise AnnotationError(f"{path}: has no boxes for the images of the data set{why}")
    return DatasetBoxes(found, +skipped, len(images) - len(found))


def predict_poses(
    estimator: PoseEstimator,
    boxes: Sequence[ImageBoxes],
    *,
    skeleton: Skeleton | None = None,
    category_id: int | str = 1,
    nms: Nms = "none",
    nms_threshold: float = THRESHOLD,
    notes: BoxNotes | None = None,
) -> Iterator[Results]:
    """COCO results, one list an image; with `nms`, people detected twice are left out or ranked lower.

    skeleton: whose order the keypoints of the results have, if not that of the model. notes: receives what is to be said
    about the boxes; those that cannot be looked at have no results.
    """
    notes = BoxNotes() if notes is None else notes
    order = None if skeleton is None else estimator.metadata.skeleton.order_in(skeleton)

    def image_with_boxes(image: ImageBoxes) -> ImageWithBoxes:
        usable, said = ImageWithBoxes.within(read_image(image.image.path), image.boxes, image.scores)
        notes.add(said)
        return usable

    for image, people in zip(boxes, estimator.estimate(map(image_with_boxes, boxes)), strict=True):
        left = deduplicate(people, estimator.metadata.skeleton, nms=nms, threshold=nms_threshold)
        if order is not None:
            left = [person.reordered(order) for person in left]
        yield [person.to_coco(image.image.id, category_id, raw=True) for person in left]


def predict_dataset(
    estimator: PoseEstimator,
    boxes: Sequence[ImageBoxes],
    track: Callable[[Iterator[Results], int], Iterable[Results]],
    *,
    skeleton: Skeleton,
    category_id: int | str = 1,
    nms: Nms = "none",
    nms_threshold: float = THRESHOLD,
) -> tuple[Results, BoxNotes]:
    """COCO results of all boxes, and what is to be said about those, in every process; each does its share of images.

    All images are opened first, so that one that cannot be read is reported before the work.

    track: is given this process's results, as they come, and their number, and returns them: for a progress bar.
        Others: as in `predict_poses`.

    Raises:
        AnnotationError: images that cannot be read.
    """
    share = shard(boxes)
    check_images((image.image for image in share), "images to look at")
    mine, total = BoxNotes(), BoxNotes()
    found = predict_poses(
        estimator,
        share,
        skeleton=skeleton,
        category_id=category_id,
        nms=nms,
        nms_threshold=nms_threshold,
        notes=mine,
    )
    answers = gather(list(track(found, len(share))))
    for notes in gather([mine]):
        total.add(notes)
    return [entry for entries in answers for entry in entries], total


def _told(skipped: Counter[str]) -> str:
    return f"; left out: {reasons(skipped)}" if skipped else ""
