"""PCKh, the figure of MPII: the share of joints that are found within half a head of where they are.

Andriluka et al., CVPR 2014; counted as in the RSN and HRNet repositories, whose tables are the ones to compare with.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsn.datasets.labelled import LabelledPerson
from rsn.errors import AnnotationError
from rsn.people import Person
from rsn.skeletons import MPII_16

THRESHOLD = 0.5  # head sizes
TIGHT = 0.1
REFERENCE_TIGHT = 0.11  # what the reference's "Mean@0.1" is measured at
NOBODY = -1.0  # a figure that cannot be told

COLUMNS = {
    "head": ("head_top",),
    **{
        part: (f"right_{part}", f"left_{part}")
        for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    },
}
NOT_IN_MEAN = ("pelvis", "thorax")


@dataclass(frozen=True)
class PckhScores:
    """The columns of MPII's table, each from 0 to 1, or -1 where nobody has such a joint.

    head ... ankle, mean: PCKh@0.5. A column of two sides is the mean of right and left; mean is over all joints but
    pelvis and thorax, each as often as it is marked. mean_tight: the same mean within `tight` head sizes.
    """

    head: float
    shoulder: float
    elbow: float
    wrist: float
    hip: float
    knee: float
    ankle: float
    mean: float
    mean_tight: float
    tight: float = TIGHT

    def as_dict(self) -> dict[str, float]:
        """The figures by the names of the papers' tables: Head ... Ankle, Mean, Mean@0.1."""
        figures = asdict(self)
        tight, mean_tight = figures.pop("tight"), figures.pop("mean_tight")
        return {name.capitalize(): figure for name, figure in figures.items()} | {
            f"Mean@{tight:g}": mean_tight
        }

    def table(self) -> str:
        """A row of PCKh@0.5 in percent; a dash where there is nobody to tell it from."""
        figures = self.as_dict()
        titles, cells = "".join(f"{name:>10}" for name in figures), map(_percent, figures.values())
        return f"%   {titles}\nPCKh" + "".join(f"{cell:>10}" for cell in cells)


def check_head_sizes(people: Sequence[LabelledPerson]) -> None:
    """Refuse (AnnotationError), before any work, people that PCKh cannot measure."""
    _check_head_sizes(_marked(people), _head_sizes(people))


def evaluate_pckh(pairs: Sequence[tuple[LabelledPerson, Person]], *, tight: float = TIGHT) -> PckhScores:
    """Compare what was found with the labels, person by person (`evaluation.run.estimate_people`).

    tight: threshold of the second mean, in head sizes. The reference calls its own 0.1 and measures it at
    `REFERENCE_TIGHT`.

    Raises:
        AnnotationError: as `pckh`.
    """
    shape = (len(pairs), len(MPII_16), 2)
    people = [person for person, _ in pairs]
    return pckh(
        np.reshape([found.keypoints for _, found in pairs], shape),
        np.reshape([person.keypoints for person in people], shape),
        _marked(people),
        _head_sizes(people),
        tight=tight,
    )


def pckh(
    found: ArrayLike, labelled: ArrayLike, marked: ArrayLike, head_sizes: ArrayLike, *, tight: float = TIGHT
) -> PckhScores:
    """PCKh from arrays.

    Args:
        found, labelled: (N, 16, 2) joints, in pixels of the image, both counted from 0 or both from 1.
        marked: (N, 16), true where a joint is labelled; others do not count.
        head_sizes: (N,) pixels: 0.6 of the diagonal of the head box (`datasets.mpii.head_size`).
        tight: threshold of the second mean, in head sizes.

    Raises:
        AnnotationError: shapes that do not fit; people with marked joints and without a head size, or nobody with
            marked joints; a joint found or labelled at something that is not a finite number.
    """
    places, truth = np.asarray(found, np.float64), np.asarray(labelled, np.float64)
    counted, sizes = np.asarray(marked, bool), np.asarray(head_sizes, np.float64)
    _check(places, truth, counted, sizes)
    distances = np.linalg.norm(places - truth, axis=2)
    measured = np.divide(distances, sizes[:, None], out=np.full_like(distances, np.inf), where=counted)
    hits, tight_hits = ((counted & (measured <= limit)).sum(0) for limit in (THRESHOLD, tight))
    labels = counted.sum(0)
    columns = {part: _column(hits, labels, joints) for part, joints in COLUMNS.items()}
    return PckhScores(**columns, mean=_mean(hits, labels), mean_tight=_mean(tight_hits, labels), tight=tight)


def _column(hits: NDArray[np.int64], labels: NDArray[np.int64], joints: Sequence[str]) -> float:
    indices = [MPII_16.joints.index(joint) for joint in joints if labels[MPII_16.joints.index(joint)]]
    return float((hits[indices] / labels[indices]).mean()) if indices else NOBODY


def _mean(hits: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    indices = [i for i, joint in enumerate(MPII_16.joints) if joint not in NOT_IN_MEAN]
    return float(hits[indices].sum() / labels[indices].sum()) if labels[indices].any() else NOBODY


def _check(
    found: NDArray[np.float64],
    labelled: NDArray[np.float64],
    marked: NDArray[np.bool_],
    sizes: NDArray[np.float64],
) -> None:
    people = len(sizes)
    joints = (people, len(MPII_16))
    if found.shape != (*joints, 2) or labelled.shape != (*joints, 2) or marked.shape != joints:
        raise AnnotationError(
            f"PCKh compares {people} people of 16 joints: (N, 16, 2) found and labelled, (N, 16) marked, not"
            f" {found.shape}, {labelled.shape} and {marked.shape}"
        )
    _check_head_sizes(marked, sizes)
    if not np.isfinite(found[marked.any(1)]).all() or not np.isfinite(labelled[marked]).all():
        raise AnnotationError("a joint is found or labelled at something that is not a finite number")


def _check_head_sizes(marked: NDArray[np.bool_], sizes: NDArray[np.float64]) -> None:
    with_joints = marked.any(1)
    if not with_joints.any():
        raise AnnotationError("there is nobody with marked joints to measure PCKh on")
    without_head = with_joints & ~(np.isfinite(sizes) & (sizes > 0))
    if without_head.any():
        raise AnnotationError(
            f"{without_head.sum()} of {with_joints.sum()} people have no head size, in which PCKh measures; take the"
            " .mat release, or give the gt_valid.mat that goes with valid.json as --head-sizes"
        )


def _marked(people: Sequence[LabelledPerson]) -> NDArray[np.bool_]:
    return np.array([person.visibility > 0 for person in people], bool).reshape(-1, len(MPII_16))


def _head_sizes(people: Sequence[LabelledPerson]) -> NDArray[np.float64]:
    return np.array([np.nan if person.head_size is None else person.head_size for person in people])


def _percent(figure: float) -> str:
    return "-" if figure == NOBODY else f"{100 * figure:.1f}"
