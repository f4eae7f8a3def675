"""PCKh, the figure of MPII: the share of keypoints that are found within half a head of where they are.

Andriluka et al., CVPR 2014; counted as in the RSN and HRNet repositories, whose tables are the ones to compare with.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsn.data.annotations import PersonAnnotation
from rsn.errors import AnnotationError, RsnWarning
from rsn.evaluation.coco import NOBODY, Entry, percent
from rsn.skeletons import MPII_16

THRESHOLD = 0.5  # head sizes
TIGHT = 0.1
REFERENCE_TIGHT = 0.11  # where the reference measures what its tables call Mean@0.1
FAR = 1e6  # pixels: where nobody is

COLUMNS = {
    "head": ("head_top",),
    **{
        part: (f"right_{part}", f"left_{part}")
        for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    },
}
NOT_IN_MEAN = ("pelvis", "thorax")


@dataclass(frozen=True)
class PckhMetrics:
    """The columns of MPII's table, each from 0 to 1, or -1 where nobody has such a keypoint.

    head ... ankle, mean: PCKh@0.5. A column of two sides is the mean of right and left; mean is over all keypoints but
    pelvis and thorax, each as often as it is marked. mean_at_10: the same mean within 0.1 head sizes. mean_at_11:
    within 0.11, which is what the RSN and HRNet repositories print as "Mean@0.1".
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
        """The figure to choose weights by, and its name."""
        return "pckh", self.mean

    def as_dict(self) -> dict[str, float]:
        """The metrics by the names of the papers' tables: Head ... Ankle, Mean, Mean@0.1; and Mean@0.11."""
        return {
            name.capitalize().replace("_at_", "@0.").replace("@0.10", "@0.1"): figure
            for name, figure in asdict(self).items()
        }

    def table(self) -> str:
        """A row of PCKh@0.5 in percent; a dash where there is nobody to tell it from."""
        metrics = self.as_dict()
        titles, cells = "".join(f"{name:>10}" for name in metrics), map(percent, metrics.values())
        return f"%   {titles}\nPCKh" + "".join(f"{cell:>10}" for cell in cells)


def check_head_sizes(people: Sequence[PersonAnnotation]) -> None:
    """Refuse (AnnotationError), before any work, people that PCKh cannot measure."""
    _check_head_sizes(_marked(people), _head_sizes(people))


def evaluate_pckh(people: Sequence[PersonAnnotation], results: Iterable[Entry]) -> PckhMetrics:
    """Compare results, found in the labeled boxes, with the labels.

    results: COCO results as `evaluation.prediction.predict_poses` gives them, in any order; see `match_results`. People without
        a result, since their box lies outside the image, count as missed, and an RsnWarning says how many.

    Raises:
        AnnotationError: as `match_results` and `pckh`; nobody has a result.
    """
    return pckh(
        match_results(people, results, missed=FAR),
        np.reshape([person.keypoints for person in people], (len(people), len(MPII_16), 2)),
        _marked(people),
        _head_sizes(people),
    )


def match_results(
    people: Sequence[PersonAnnotation], results: Iterable[Entry], *, missed: float | None = None
) -> NDArray[np.float64]:
    """The keypoints that were found in the labeled box of each person: (N, 16, 2), image pixels.

    results: entries with image_id, keypoints and box (x, y, width, height), by which they are recognized. missed: where
        the keypoints of people without a result are, if they may be without one.

    Raises:
        AnnotationError: a person without a result, or with `missed` nobody with one; an entry that is not one of 16
            keypoints.
    """
    try:
        found = {
            (entry["image_id"], *_rounded(entry["box"])): np.reshape(entry["keypoints"], (len(MPII_16), 3))[
                :, :2
            ]
            for entry in results
        }
    except (KeyError, TypeError, ValueError) as error:
        raise AnnotationError(
            f"not a COCO result with image_id, box, and keypoints of 16 keypoints ({error})"
        ) from error
    keys = [(person.image.id, *_rounded(person.box)) for person in people]
    missing = [key for key in keys if key not in found]
    if missing and missed is not None and len(missing) < len(people):
        warnings.warn(
            f"{len(missing)} of {len(people)} people have no result and count as missed",
            RsnWarning,
            stacklevel=3,
        )
        found |= {key: np.full((len(MPII_16), 2), missed) for key in missing}
    elif missing:
        raise AnnotationError(
            f"{len(missing)} of {len(people)} people have no result, first someone in image {missing[0][0]}; are the"
            " results of these annotations, in their boxes?"
        )
    keypoints = [found[key] for key in keys]
    return np.array(keypoints, np.float64).reshape(len(people), len(MPII_16), 2)


def _rounded(box: ArrayLike) -> Iterator[float]:
    return (round(float(value), 3) for value in np.asarray(box, np.float64))  # as in results


def pckh(found: ArrayLike, labeled: ArrayLike, marked: ArrayLike, head_sizes: ArrayLike) -> PckhMetrics:
    """PCKh from arrays.

    Args:
        found, labeled: (N, 16, 2) keypoints, in pixels of the image, both counted from 0 or both from 1.
        marked: (N, 16), true where a keypoint is labeled; others do not count.
        head_sizes: (N,) pixels: 0.6 of the diagonal of the head box (`datasets.mpii.head_size`).

    Raises:
        AnnotationError: shapes that do not fit; people with marked keypoints and without a head size, or nobody with
            marked keypoints; a keypoint found or labeled at something that is not a finite number.
    """
    places, truth = np.asarray(found, np.float64), np.asarray(labeled, np.float64)
    counted, sizes = np.asarray(marked, bool), np.asarray(head_sizes, np.float64)
    _check(places, truth, counted, sizes)
    distances = np.linalg.norm(places - truth, axis=2)
    measured = np.divide(distances, sizes[:, None], out=np.full_like(distances, np.inf), where=counted)
    hits, hits_at_10, hits_at_11 = (
        (counted & (measured <= limit)).sum(0) for limit in (THRESHOLD, TIGHT, REFERENCE_TIGHT)
    )
    labels = counted.sum(0)
    return PckhMetrics(
        **{part: _column(hits, labels, keypoints) for part, keypoints in COLUMNS.items()},
        mean=_mean(hits, labels),
        mean_at_10=_mean(hits_at_10, labels),
        mean_at_11=_mean(hits_at_11, labels),
    )


def _column(hits: NDArray[np.int64], labels: NDArray[np.int64], keypoints: Sequence[str]) -> float:
    indices = [
        MPII_16.keypoint_names.index(keypoint)
        for keypoint in keypoints
        if labels[MPII_16.keypoint_names.index(keypoint)]
    ]
    return float((hits[indices] / labels[indices]).mean()) if indices else NOBODY


def _mean(hits: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    indices = [i for i, keypoint in enumerate(MPII_16.keypoint_names) if keypoint not in NOT_IN_MEAN]
    return float(hits[indices].sum() / labels[indices].sum()) if labels[indices].any() else NOBODY


def _check(
    found: NDArray[np.float64],
    labeled: NDArray[np.float64],
    marked: NDArray[np.bool_],
    sizes: NDArray[np.float64],
) -> None:
    people = len(sizes)
    keypoints = (people, len(MPII_16))
    if found.shape != (*keypoints, 2) or labeled.shape != (*keypoints, 2) or marked.shape != keypoints:
        raise AnnotationError(
            f"PCKh compares {people} people of 16 keypoints: (N, 16, 2) found and labeled, (N, 16) marked, not"
            f" {found.shape}, {labeled.shape} and {marked.shape}"
        )
    _check_head_sizes(marked, sizes)
    if not np.isfinite(found[marked.any(1)]).all() or not np.isfinite(labeled[marked]).all():
        raise AnnotationError("a keypoint is found or labeled at something that is not a finite number")


def _check_head_sizes(marked: NDArray[np.bool_], sizes: NDArray[np.float64]) -> None:
    filter_valid = marked.any(1)
    if not filter_valid.any():
        raise AnnotationError("there is nobody with marked keypoints to measure PCKh on")
    without_head = filter_valid & ~(np.isfinite(sizes) & (sizes > 0))
    if without_head.any():
        raise AnnotationError(
            f"{without_head.sum()} of {filter_valid.sum()} people have no head size, in which PCKh measures; take the"
            " .mat release, or give the gt_valid.mat that goes with valid.json as --head-sizes"
        )


def _marked(people: Sequence[PersonAnnotation]) -> NDArray[np.bool_]:
    return np.array([person.visibility > 0 for person in people], bool).reshape(-1, len(MPII_16))


def _head_sizes(people: Sequence[PersonAnnotation]) -> NDArray[np.float64]:
    return np.array([np.nan if person.head_size is None else person.head_size for person in people])
