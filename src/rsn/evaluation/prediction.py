"""Predictions for a whole dataset: its boxes, and COCO results for all people in them."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsn.data.annotations import ImageFile, PoseDataset
from rsn.data.checks import check_images
from rsn.data.image_files import check_files
from rsn.data.values import MIN_BOX_SIZE
from rsn.distributed import gather, process_group, shard
from rsn.errors import AnnotationError, RsnError
from rsn.inference.box_checks import TOO_SMALL, BoxNotes, filter_boxes, reasons
from rsn.inference.box_sources import BoxFile
from rsn.inference.estimator import PoseEstimator
from rsn.inference.pipeline import ImageInput
from rsn.io.images import read_image
from rsn.oks import THRESHOLD, Nms, deduplicate
from rsn.skeletons import Skeleton

Results = list[dict[str, Any]]
Report = Callable[[str], None]  # receives messages
# Wraps the work on a number of images, for example with a progress bar.
TrackProgress = Callable[[Iterable[Results], int], Iterable[Results]]


@dataclass(frozen=True, eq=False)
class ImageBoxes:
    """An image of a dataset and the boxes of its people: (N, 4) x, y, width, height in pixels, and scores (N,)."""

    image: ImageFile
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DatasetBoxes:
    """The boxes of a dataset.

    source: for messages. images: those with boxes. skipped: number of boxes that are not used, by reason.
    """

    source: str
    images: list[ImageBoxes]
    skipped: Counter[str]
    images_without_boxes: int = 0

    @classmethod
    def from_annotations(cls, people: PoseDataset) -> "DatasetBoxes":
        """The annotated boxes, with scores of 1."""
        return cls("annotated", labeled_boxes(people), Counter(people.skipped))

    def summary(self) -> str:
        """One line: the source, how many boxes and images, and what is skipped."""
        boxes = sum(len(image.boxes) for image in self.images)
        text = f"boxes: {self.source}; {boxes} in {len(self.images)} images"
        text += f"; {self.images_without_boxes} images without boxes" if self.images_without_boxes else ""
        return text + _skipped(self.skipped)


def check_same_skeleton(model: Skeleton, annotated: Skeleton) -> None:
    """Raise AnnotationError unless both skeletons have the same keypoints, in any order."""
    if model.permutation_to(annotated) is not None:
        return
    shared = model.common_keypoints(annotated)
    unlabeled = [name for i, name in enumerate(model.keypoint_names) if i not in {a for a, _ in shared}]
    unknown = [name for i, name in enumerate(annotated.keypoint_names) if i not in {b for _, b in shared}]
    differences = [
        f"{what} {', '.join(names[:6])}{' and others' if len(names) > 6 else ''}"
        for what, names in (("not annotated:", unlabeled), ("not predicted:", unknown))
        if names
    ]
    hint = ", or evaluate the common keypoints only (--common-keypoints)" if shared else ""
    raise AnnotationError(
        f"the model predicts the {len(model)} keypoints of {model.name}, the annotations have the {len(annotated)} of"
        f" {annotated.name} ({'; '.join(differences)}); take weights and annotations of one skeleton{hint}"
    )


def labeled_boxes(people: PoseDataset) -> list[ImageBoxes]:
    """The annotated boxes of a dataset, with scores of 1."""
    by_image: dict[ImageFile, list[NDArray[np.float64]]] = {}
    for person in people.people:
        by_image.setdefault(person.image, []).append(person.box)
    return [ImageBoxes(image, np.stack(boxes), np.ones(len(boxes))) for image, boxes in by_image.items()]


def read_boxes(
    path: Path,
    images: Sequence[ImageFile],
    folder: Path | None = None,
    *,
    category: str | None = None,
    category_ids: Collection[int | str] = (1,),
    threshold: float = 0.0,
) -> DatasetBoxes:
    """The boxes that a file has for images: of the category, at least a pixel wide and high, not below the threshold.

    folder: of the images, which must exist in it; not checked with None. category: as in `BoxFile.read`.
    category_ids: those of the annotations, taken where no category is given.

    Raises:
        AnnotationError: not a file of boxes, no boxes for the images, or missing images.
    """
    file = BoxFile.read(path, category=category, category_ids=category_ids)
    skipped = Counter(file.skipped)
    found, known = [], 0
    for image, given, other_size in zip(images, file.of_files(images), file.of_other_size(images), strict=True):
        boxes, scores = given or (np.empty((0, 4)), np.empty(0))
        known += len(boxes)
        if other_size:
            skipped["of an image of another size"] += len(boxes)
            continue
        low = scores < threshold
        small = ~low & (boxes[:, 2:].min(1, initial=np.inf) < MIN_BOX_SIZE)
        skipped[f"with a score below {threshold:g}"] += int(low.sum())
        skipped[TOO_SMALL] += int(small.sum())
        kept = ~(low | small)
        if kept.any():
            found.append(ImageBoxes(image, boxes[kept], scores[kept]))
    skipped["of images that are not in the dataset"] += len(file) - known
    if not found:
        hint = "; boxes are x, y, width, height in pixels of the image" if skipped[TOO_SMALL] else ""
        why = _skipped(+skipped) + hint or "; are they of another dataset?"
        raise AnnotationError(f"{path}: has no boxes for the images of the dataset{why}")
    if folder is not None:
        check_files({image.image.path for image in found}, folder)
    return DatasetBoxes(str(path), found, +skipped, len(images) - len(found))


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
    """COCO results with raw scores, one list per image.

    skeleton: its keypoints and their order are used; by default the model's. nms: removes duplicates, see
        `oks.deduplicate`.
    notes: counts boxes that are skipped, which have no results, and other remarks about boxes.
    """
    notes = BoxNotes() if notes is None else notes
    order = None if skeleton is None else estimator.metadata.skeleton.order_of(skeleton)

    def read(image: ImageBoxes) -> ImageInput:
        pixels = read_image(image.image.path)
        bboxes, scores, found = filter_boxes(image.boxes, image.scores, pixels.shape[:2])
        notes.add(found)
        return ImageInput(pixels, (bboxes, scores))

    for image, result in estimator.stream(boxes, read, keep_image=False):
        if isinstance(result, RsnError):
            raise result
        people = deduplicate(result, nms_type=nms, threshold=nms_threshold)
        ordered = people if order is None else [person.reordered(order) for person in people]
        yield [person.to_coco(image.image.id, category_id, raw=True) for person in ordered]


def predict_dataset(
    estimator: PoseEstimator,
    boxes: DatasetBoxes,
    skeleton: Skeleton,
    *,
    exact: bool = True,
    report: Report = lambda text: None,
    track: TrackProgress = lambda results, total: results,
    **options: Any,
) -> Results:
    """COCO results for all boxes, in the keypoint order of a skeleton.

    Processes that torchrun or srun started divide the images; each returns all results, in the order of the images.
    Unreadable images are reported before the work begins. Boxes that cannot be used are added to `boxes.skipped`.
    exact: the model must not predict other keypoints than those of the skeleton. options: as `predict_poses`.

    Raises:
        AnnotationError: images that cannot be read, or a model of another skeleton.
    """
    if exact:
        check_same_skeleton(estimator.metadata.skeleton, skeleton)
    report(boxes.summary())
    report(f"backend: {estimator.backend} on {estimator.device}")
    with process_group():
        mine, total = BoxNotes(), BoxNotes()
        part = shard(boxes.images)
        check_images((image.image for image in part), "images of the dataset")
        predicted = predict_poses(estimator, part, skeleton=skeleton, notes=mine, **options)
        results = gather(list(track(predicted, len(part))))
        for notes in gather([mine]):
            total.add(notes)
    boxes.skipped.update(total.skipped)
    if remarks := total.sentence():
        report(remarks)
    return [entry for entries in results for entry in entries]


def _skipped(skipped: Counter[str]) -> str:
    return f"; skipped: {reasons(skipped)}" if skipped else ""
