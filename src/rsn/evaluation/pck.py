"""PCK, the metric of JHMDB: the fraction of keypoints found within a part of the size of the person.

As MMPose computes it for sub-JHMDB: within 0.2 of the longer side of the box (PCK), or of the distance between left
shoulder and right hip (tPCK). The mean is over keypoints: each counts the same, however many people have it labeled.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsn.data.annotations import PersonAnnotation
from rsn.errors import AnnotationError
from rsn.evaluation.coco import UNDEFINED, Entry, percent
from rsn.evaluation.matching import FAR, match_results
from rsn.skeletons import Skeleton

THRESHOLD = 0.2  # of the size of the person
TORSO = ("left_shoulder", "right_hip")
SIDES = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
COLUMNS = {"head": ("head",)} | {part: (f"left_{part}", f"right_{part}") for part in SIDES}


@dataclass(frozen=True)
class PckMetrics:
    """The columns of JHMDB's tables, each from 0 to 1, or -1 where no person has such a keypoint.

    head ... ankle, mean: PCK@0.2 by the longer side of the box; head_torso ... mean_torso: by the torso. A column of
    two sides is the mean of left and right.
    """

    head: float
    shoulder: float
    elbow: float
    wrist: float
    hip: float
    knee: float
    ankle: float
    mean: float
    head_torso: float
    shoulder_torso: float
    elbow_torso: float
    wrist_torso: float
    hip_torso: float
    knee_torso: float
    ankle_torso: float
    mean_torso: float

    @property
    def headline(self) -> tuple[str, float]:
        """Name and value of the metric by which training chooses the best weights."""
        return "pck", self.mean

    def as_dict(self) -> dict[str, float]:
        """The metrics by name: Head ... Mean for PCK, Head tPCK ... Mean tPCK."""
        return {name.capitalize().replace("_torso", " tPCK"): value for name, value in asdict(self).items()}

    def table(self) -> str:
        """A row of PCK and a row of tPCK, in percent; "-" for a metric that is undefined."""
        names, cells = [name.capitalize() for name in (*COLUMNS, "mean")], [*map(percent, asdict(self).values())]
        rows = (("%", names), ("PCK", cells[:8]), ("tPCK", cells[8:]))
        return "\n".join(f"{title:<4}" + "".join(f"{cell:>10}" for cell in row) for title, row in rows)


def evaluate_pck(people: Sequence[PersonAnnotation], results: Iterable[Entry], skeleton: Skeleton) -> PckMetrics:
    """Compare results, predicted in the annotated boxes, with the annotations; both have the keypoints of `skeleton`.

    results: COCO results as `evaluation.prediction.predict_poses` returns them, in any order. People without a result
        count as missed, and an RsnWarning says how many.

    Raises:
        AnnotationError: as `match_results`; no keypoint is labeled.
    """
    found = match_results(people, results, keypoints=len(skeleton), missed=FAR)
    truth = np.reshape([person.keypoints for person in people], (-1, len(skeleton), 2)).astype(np.float64)
    labeled = np.reshape([person.visibility > 0 for person in people], (-1, len(skeleton)))
    if not labeled.any():
        raise AnnotationError("no person with labeled keypoints to compute PCK from")
    names = skeleton.normalized_names
    longer_sides = np.array([person.box[2:].max() for person in people])
    columns: list[float] = []
    for sizes in (longer_sides, _torso_sizes(found, truth, names)):
        accuracy = pck(found, truth, labeled, sizes)
        columns += [_mean([accuracy[names.index(one)] for one in of if one in names]) for of in COLUMNS.values()]
        columns.append(_mean(accuracy))
    return PckMetrics(*columns)


def pck(found: ArrayLike, truth: ArrayLike, labeled: ArrayLike, sizes: ArrayLike) -> NDArray[np.float64]:
    """The fraction of people with each keypoint labeled where it is found (K,); -1 where no person has it labeled.

    Args:
        found, truth: (N, K, 2) predicted and annotated keypoints, image pixels.
        labeled: (N, K), true where a keypoint is labeled; others do not count.
        sizes: (N,) pixels; people of size 0 do not count.
    """
    size = np.asarray(sizes, np.float64)[:, None]
    counted = np.asarray(labeled, bool) & (size > 0)
    distances = np.linalg.norm(np.asarray(found, np.float64) - np.asarray(truth, np.float64), axis=2)
    hits, counts = (counted & (distances < THRESHOLD * size)).sum(0), counted.sum(0)
    return np.where(counts > 0, hits / np.maximum(counts, 1), UNDEFINED)


def _torso_sizes(found: NDArray[np.float64], truth: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
    """The annotated distance between left shoulder and right hip (N,); below a pixel the predicted one.

    Zeros for a skeleton without one of them.
    """
    if not set(TORSO) <= set(names):
        return np.zeros(len(truth))
    a, b = (names.index(name) for name in TORSO)
    annotated, predicted = (np.linalg.norm(points[:, a] - points[:, b], axis=1) for points in (truth, found))
    return np.asarray(np.where(annotated < 1, predicted, annotated), np.float64)


def _mean(accuracies: Sequence[float] | NDArray[np.float64]) -> float:
    defined = [float(one) for one in accuracies if one != UNDEFINED]
    return float(np.mean(defined)) if defined else UNDEFINED
