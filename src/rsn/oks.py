"""Object keypoint similarity (OKS), and the removal of duplicates among the people of an image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsn.errors import AnnotationError
from rsn.geometry import FloatArray, box_iou
from rsn.results import Person
from rsn.skeletons import Skeleton

Nms = Literal["none", "oks", "soft-oks"]

THRESHOLD = 0.9  # OKS from which two poses are duplicates, as in MMPose
IOU_THRESHOLD = 0.7  # box overlap from which two people are duplicates, where a skeleton has no sigmas
MOST_PEOPLE = 20  # that soft-OKS-NMS leaves of an image: COCO's evaluation counts no more
EPSILON = 1e-12  # square pixels; people without area still have a scale


@dataclass(frozen=True, eq=False)
class Poses:
    """Poses of one image, laid out so that one of them is quickly compared with many.

    places: (2, N, K) float32, all x and then all y, in pixels over the spread of each keypoint (twice its sigma). counted:
    (N, K), which keypoints count; None where all do. areas: (N,) square pixels.
    """

    places: NDArray[np.float32]
    counted: NDArray[np.bool_] | None
    areas: NDArray[np.float32]

    @classmethod
    def of(
        cls, keypoints: ArrayLike, areas: ArrayLike, sigmas: ArrayLike, *, above: float | None = None
    ) -> "Poses":
        """Poses from keypoints.

        keypoints: (N, K, 3) x, y, score; pixels of the image. areas: (N,) of the people, in square pixels. sigmas:
        (K,), of the skeleton. above: only keypoints with a score above this count; without it all do.
        """
        keypoints = np.asarray(keypoints, np.float64)
        spread = 2 * np.asarray(sigmas, np.float64)
        counted = None if above is None else keypoints[..., 2] > above
        places = np.moveaxis(keypoints[..., :2], -1, 0) / spread
        return cls(
            places.astype(np.float32, order="C"), counted, np.maximum(areas, EPSILON, dtype=np.float32)
        )

    def oks(self, one: int, others: NDArray[np.intp]) -> NDArray[np.float32]:
        """OKS of one pose with others, (len(others),), from 0 (far) to 1 (the same).

        The scale is the mean of the two areas. Only keypoints that count in both poses do; where there is none, OKS is
        0. Equal to `oks_iou` of MMPose and HRNet.
        """
        steps = self.places[:, others] - self.places[:, one, None]
        scales = (self.areas[others] + self.areas[one])[:, None]
        oks = np.exp(-np.square(steps).sum(0) / scales)
        if self.counted is None:
            return np.asarray(oks.mean(1))
        counted = self.counted[others] & self.counted[one]
        return np.asarray((oks * counted).sum(1) / np.maximum(counted.sum(1), 1))


def oks_nms(poses: Poses, scores: ArrayLike, threshold: float = THRESHOLD) -> NDArray[np.intp]:
    """Leave out poses whose OKS with a better one that stays is above the threshold.

    scores: (N,) of the people. Returns the indices of those that stay, best first.
    """
    return _suppress(scores, poses.oks, threshold)


def box_nms(boxes: FloatArray, scores: ArrayLike, threshold: float = IOU_THRESHOLD) -> NDArray[np.intp]:
    """Leave out boxes (N, 4) whose intersection over union with a better one that stays is above the threshold.

    scores: (N,). Returns the indices of those that stay, best first.
    """
    iou = box_iou(boxes, boxes)
    return _suppress(scores, lambda one, others: iou[one, others], threshold)


def soft_oks_nms(
    poses: Poses, scores: ArrayLike, threshold: float = THRESHOLD, *, limit: int = MOST_PEOPLE
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Lower the scores of poses that are like better ones, by exp(-OKS^2 / threshold) for each of those.

    scores: (N,) of the people. Returns the indices of the `limit` best, best first, and their lowered scores. The
    indices are those of MMPose and HRNet, which go on with the scores as they were.
    """
    lowered = np.array(scores, np.float64)
    waiting = _best_first(lowered)
    kept: list[int] = []
    while len(waiting) and len(kept) < limit:
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        lowered[waiting] *= np.exp(-(poses.oks(best, waiting) ** 2) / threshold)
        waiting = waiting[_best_first(lowered[waiting])]
    indices = np.asarray(kept, np.intp)
    return indices, lowered[indices]


def deduplicate(
    people: Sequence[Person], skeleton: Skeleton, *, nms: Nms = "oks", threshold: float = THRESHOLD
) -> list[Person]:
    """The people of one image with duplicates left out ("oks") or ranked lower ("soft-oks"), best first.

    The scale of a person is the area of the box, as it was given to the network. Where the skeleton has no sigmas,
    "oks" leaves out people whose boxes overlap by more than 0.7 (IoU). With "none" all stay as they are.

    threshold: an OKS.

    Raises:
        AnnotationError: "soft-oks" and a skeleton without sigmas.
    """
    if nms == "none" or not people:
        return list(people)
    boxes = np.stack([person.box for person in people])
    scores = [person.raw_score for person in people]
    if skeleton.sigmas is None:
        if nms == "soft-oks":
            raise AnnotationError(
                f"Invalid nms: soft-oks needs the sigmas that skeleton {skeleton.name!r} does not have; take oks"
            )
        return [people[i] for i in box_nms(boxes, scores)]
    keypoints = [np.column_stack([person.keypoints, person.raw_scores]) for person in people]
    poses = Poses.of(keypoints, boxes[:, 2:].prod(1), skeleton.sigmas)
    if nms == "oks":
        return [people[i] for i in oks_nms(poses, scores, threshold)]
    indices, lowered = soft_oks_nms(poses, scores, threshold)
    return [replace(people[i], raw_score=float(score)) for i, score in zip(indices, lowered, strict=True)]


def _suppress(
    scores: ArrayLike, similarity: Callable[[int, NDArray[np.intp]], NDArray[Any]], threshold: float
) -> NDArray[np.intp]:
    """Greedy suppression: the indices of all that are not too similar to a better one that stays, best first."""
    waiting = _best_first(np.asarray(scores, np.float64))
    kept: list[int] = []
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        waiting = waiting[similarity(best, waiting) <= threshold]
    return np.asarray(kept, np.intp)


def _best_first(scores: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.argsort(-np.asarray(scores, np.float64), kind="stable")
