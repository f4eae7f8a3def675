"""Object keypoint similarity (OKS), and the removal of duplicates among the persons of an image (NMS)."""

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsn.errors import AnnotationError
from rsn.geometry import FloatArray, box_iou
from rsn.results import PoseResult

Nms = Literal["none", "oks", "soft-oks"]

THRESHOLD = 0.9  # OKS above which two poses are duplicates, as in MMPose
IOU_THRESHOLD = 0.7  # overlap of boxes above which two persons are duplicates, for skeletons without sigmas
MAX_PERSONS = 20  # that soft OKS-NMS leaves per image: COCO's evaluation counts no more
EPSILON = 1e-12  # square pixels; persons without an area still have a scale


def oks(
    keypoints: ArrayLike,
    areas: ArrayLike,
    others: ArrayLike,
    other_areas: ArrayLike,
    sigmas: ArrayLike,
    *,
    score_above: float | None = None,
) -> FloatArray:
    """OKS of N poses with M others, (N, M), from 0 (far apart) to 1 (equal), as `oks_iou` of MMPose and HRNet.

    The scale of a pair is the mean of both areas.

    Args:
        keypoints, others: (N, K, 3) and (M, K, 3) x, y, score; image pixels.
        areas, other_areas: (N,) and (M,) of the persons, in square pixels.
        sigmas: (K,) of the skeleton.
        score_above: count only keypoints with a higher score in both poses; a pair without any has an OKS of 0. By
            default all count.
    """
    spread = 2 * np.asarray(sigmas, np.float64)[:, None]
    positions, counted = _split(keypoints, spread, score_above)
    other_positions, other_counted = _split(others, spread, score_above)
    scales = np.maximum(np.add.outer(np.asarray(areas), np.asarray(other_areas)), EPSILON)
    rows = np.zeros(scales.shape)
    for row, scale, position, counts in zip(rows, scales, positions, counted, strict=True):
        x, y = np.moveaxis(other_positions - position, -1, 0)
        similarity = np.exp(-(x * x + y * y) / scale[:, None])
        both = counts & other_counted
        row[:] = (similarity * both).sum(1) / np.maximum(both.sum(1), 1)
    return rows


def _split(keypoints: ArrayLike, spread: FloatArray, score_above: float | None) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Positions (N, K, 2) in units of the spread, and which keypoints count (N, K)."""
    poses = np.asarray(keypoints, np.float64).reshape(-1, len(spread), 3)
    return poses[..., :2] / spread, poses[..., 2] > (-np.inf if score_above is None else score_above)


def nms(similarity: FloatArray, scores: ArrayLike, threshold: float) -> NDArray[np.intp]:
    """Leave out everything whose similarity with a better one that stays is above the threshold.

    similarity: (N, N), of poses (`oks`) or boxes (`box_iou`). scores: (N,). Returns the indices of those that stay,
    best first.
    """
    waiting = _best_first(np.asarray(scores, np.float64))
    chosen: list[int] = []
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        chosen.append(best)
        waiting = waiting[similarity[best, waiting] <= threshold]
    return np.asarray(chosen, np.intp)


def soft_nms(
    similarity: FloatArray, scores: ArrayLike, threshold: float, *, limit: int = MAX_PERSONS
) -> tuple[NDArray[np.intp], FloatArray]:
    """Lower the scores of everything similar to something better, by exp(-similarity^2 / threshold) for each of those.

    similarity: (N, N). scores: (N,). Returns the indices of the `limit` best, best first, and their lowered scores. The
    indices are those of MMPose and HRNet, which continue with the original scores.
    """
    lowered = np.array(scores, np.float64)
    waiting = _best_first(lowered)
    chosen: list[int] = []
    while len(waiting) and len(chosen) < limit:
        best, waiting = waiting[0], waiting[1:]
        chosen.append(best)
        lowered[waiting] *= np.exp(-(similarity[best, waiting] ** 2) / threshold)
        waiting = waiting[_best_first(lowered[waiting])]
    indices = np.asarray(chosen, np.intp)
    return indices, lowered[indices]


def deduplicate(result: PoseResult, *, nms_type: Nms = "oks", threshold: float = THRESHOLD) -> PoseResult:
    """The persons of one image without duplicates ("oks"), or with duplicates ranked lower ("soft-oks"), best first.

    The scale of a person is the area of the box that was given to the network. For a skeleton without sigmas, "oks"
    leaves out persons whose boxes overlap by more than 0.7 (IoU). With "none" the result stays as it is.

    threshold: an OKS.

    Raises:
        AnnotationError: "soft-oks" and a skeleton without sigmas.
    """
    if nms_type == "none" or not len(result):
        return result
    bboxes = np.stack([person.bbox for person in result])
    scores = [person.raw_score for person in result]
    sigmas = result.skeleton.sigmas
    if sigmas is None:
        if nms_type == "soft-oks":
            raise AnnotationError(
                f"Invalid nms: soft-oks needs the sigmas that skeleton {result.skeleton.name!r} does not have; use oks"
            )
        return result[nms(box_iou(bboxes, bboxes), scores, IOU_THRESHOLD)]
    keypoints = [np.column_stack([person.keypoints, person.raw_scores]) for person in result]
    areas = bboxes[:, 2:].prod(1)
    similarity = oks(keypoints, areas, keypoints, areas, sigmas)
    if nms_type == "oks":
        return result[nms(similarity, scores, threshold)]
    indices, lowered = soft_nms(similarity, scores, threshold)
    ranked = zip(result[indices], lowered, strict=True)
    return result.with_people([replace(person, raw_score=float(score)) for person, score in ranked])


def _best_first(scores: FloatArray) -> NDArray[np.intp]:
    return np.argsort(-scores, kind="stable")
