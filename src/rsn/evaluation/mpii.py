"""PCKh, the metric of MPII: the fraction of keypoints found within half a head size of the labeled position.

Andriluka et al., CVPR 2014; computed as in the RSN and HRNet repositories.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsn.data.annotations import PersonAnnotation
from rsn.errors import AnnotationError
from rsn.evaluation.coco import UNDEFINED, Entry, percent
from rsn.evaluation.matching import FAR, match_results
from rsn.skeletons import MPII_16

THRESHOLD = 0.5  # head sizes
TIGHT = 0.1
REFERENCE_TIGHT = 0.11  # the RSN and HRNet repositories use it for the column that they call Mean@0.1

SIDES = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
COLUMNS = {"head": ("head_top",)} | {part: (f"right_{part}", f"left_{part}") for part in SIDES}
NOT_IN_MEAN = ("pelvis", "thorax")


@dataclass(frozen=True)
class PckhMetrics:
    """The columns of MPII's table, each from 0 to 1, or -1 where no person has such a keypoint.

    head ... ankle, mean: PCKh@0.5. A column of two sides is the mean of right and left; `mean` is over all labeled
    keypoints except pelvis and thorax. mean_at_10: `mean` within 0.1 head sizes. mean_at_11: within 0.11, which the RSN
    and HRNet repositories print as "Mean@0.1".
    """

    head: float
    shoulder: float
    elbow: float
    wrist: float
    hip: float
    knee: float
    ankle: float
    mean: float
    mean_at_10: float
    mean_at_11: float

    @property
    def headline(self) -> tuple[str, float]:
        """Name and value of the metric by which training chooses the best weights."""
        return "pckh", self.mean

    def as_dict(self) -> dict[str, float]:
        """The metrics as the papers name them: Head ... Ankle, Mean, Mean@0.1; and Mean@0.11."""
        return {
            name.capitalize().replace("_at_", "@0.").replace("@0.10", "@0.1"): value
            for name, value in asdict(self).items()
        }

    def table(self) -> str:
        """A row of PCKh@0.5 in percent; "-" for a metric that is undefined."""
        metrics = self.as_dict()
        titles, cells = "".join(f"{name:>10}" for name in metrics), map(percent, metrics.values())
        return f"%   {titles}\nPCKh" + "".join(f"{cell:>10}" for cell in cells)


def check_head_sizes(people: Sequence[PersonAnnotation]) -> None:
    """Raise AnnotationError for people whose PCKh cannot be computed, before any work is done."""
    _check_head_sizes(_labeled(people), _head_sizes(people))


def evaluate_pckh(people: Sequence[PersonAnnotation], results: Iterable[Entry]) -> PckhMetrics:
    """Compare results, predicted in the annotated boxes, with the annotations.

    results: COCO results as `evaluation.prediction.predict_poses` returns them, in any order. People without a result
        (their box lies outside the image) count as missed, and an RsnWarning says how many.

    Raises:
        AnnotationError: as `match_results` and `pckh`; no person has a result.
    """
    return pckh(
        match_results(people, results, keypoints=len(MPII_16), missed=FAR),
        np.reshape([person.keypoints for person in people], (len(people), len(MPII_16), 2)),
        _labeled(people),
        _head_sizes(people),
    )


def pckh(found: ArrayLike, truth: ArrayLike, labeled: ArrayLike, head_sizes: ArrayLike) -> PckhMetrics:
    """PCKh from arrays.

    Args:
        found, truth: (N, 16, 2) predicted and annotated keypoints, image pixels.
        labeled: (N, 16), true where a keypoint is labeled; others do not count.
        head_sizes: (N,) pixels: 0.6 of the diagonal of the head box (`data.mpii.head_size`).

    Raises:
        AnnotationError: wrong shapes; no labeled keypoint; people with labeled keypoints and without a head size; a
            coordinate that is not finite.
    """
    found, truth = np.asarray(found, np.float64), np.asarray(truth, np.float64)
    labeled, sizes = np.asarray(labeled, bool), np.asarray(head_sizes, np.float64)
    shape = (len(sizes), len(MPII_16))
    if found.shape != (*shape, 2) or truth.shape != (*shape, 2) or labeled.shape != shape:
        raise AnnotationError(
            f"Invalid shapes: expected keypoints (N, 16, 2) and labels (N, 16) of {len(sizes)} people, got"
            f" {found.shape}, {truth.shape} and {labeled.shape}"
        )
    _check_head_sizes(labeled, sizes)
    if not np.isfinite(found[labeled.any(1)]).all() or not np.isfinite(truth[labeled]).all():
        raise AnnotationError("Invalid keypoints: a coordinate is not a finite number")
    distances = np.linalg.norm(found - truth, axis=2)
    relative = np.divide(distances, sizes[:, None], out=np.full_like(distances, np.inf), where=labeled)
    hits, hits_at_10, hits_at_11 = (
        (labeled & (relative <= limit)).sum(0) for limit in (THRESHOLD, TIGHT, REFERENCE_TIGHT)
    )
    counts = labeled.sum(0)
    return PckhMetrics(
        **{part: _column(hits, counts, keypoints) for part, keypoints in COLUMNS.items()},
        mean=_mean(hits, counts),
        mean_at_10=_mean(hits_at_10, counts),
        mean_at_11=_mean(hits_at_11, counts),
    )


def _column(hits: NDArray[np.int64], counts: NDArray[np.int64], keypoints: Sequence[str]) -> float:
    indices = [i for i in map(MPII_16.keypoint_names.index, keypoints) if counts[i]]
    return float((hits[indices] / counts[indices]).mean()) if indices else UNDEFINED


def _mean(hits: NDArray[np.int64], counts: NDArray[np.int64]) -> float:
    indices = [i for i, keypoint in enumerate(MPII_16.keypoint_names) if keypoint not in NOT_IN_MEAN]
    return float(hits[indices].sum() / counts[indices].sum()) if counts[indices].any() else UNDEFINED


def _check_head_sizes(labeled: NDArray[np.bool_], sizes: NDArray[np.float64]) -> None:
    counted = labeled.any(1)
    if not counted.any():
        raise AnnotationError("no person with labeled keypoints to compute PCKh from")
    without_head = counted & ~(np.isfinite(sizes) & (sizes > 0))
    if without_head.any():
        raise AnnotationError(
            f"{without_head.sum()} of {counted.sum()} people have no head size, which PCKh needs; use the .mat file,"
            " or give the gt_valid.mat that belongs to valid.json as --head-sizes"
        )


def _labeled(people: Sequence[PersonAnnotation]) -> NDArray[np.bool_]:
    return np.array([person.visibility > 0 for person in people], bool).reshape(-1, len(MPII_16))


def _head_sizes(people: Sequence[PersonAnnotation]) -> NDArray[np.float64]:
    return np.array([np.nan if person.head_size is None else person.head_size for person in people])
