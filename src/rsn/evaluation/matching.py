"""Results of the people in annotated boxes, which PCK and PCKh compare one by one."""

import warnings
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsn.data.annotations import PersonAnnotation
from rsn.errors import AnnotationError, RsnWarning
from rsn.evaluation.coco import Entry

FAR = 1e6  # pixels: keypoints of people without a result


def match_results(
    people: Sequence[PersonAnnotation], results: Iterable[Entry], *, keypoints: int, missed: float | None = None
) -> NDArray[np.float64]:
    """The keypoints predicted in the annotated box of each person: (N, K, 2), image pixels.

    results: entries with image_id, keypoints and box (x, y, width, height), which identify the person.
    keypoints: their number, K.
    missed: coordinate for the keypoints of people without a result; with None, all people need one.

    Raises:
        AnnotationError: a person without a result (with `missed`: all people); an invalid entry.
    """
    try:
        found = {
            (entry["image_id"], *_rounded(entry["box"])): np.reshape(entry["keypoints"], (keypoints, 3))[:, :2]
            for entry in results
        }
    except (KeyError, TypeError, ValueError) as error:
        raise AnnotationError(
            f"Invalid result: expected image_id, box and {keypoints} keypoints (x, y, score each), got {error}"
        ) from error
    keys = [(person.image.id, *_rounded(person.box)) for person in people]
    missing = [key for key in keys if key not in found]
    if missing and missed is not None and len(missing) < len(people):
        warnings.warn(
            f"{len(missing)} of {len(people)} people have no result and count as missed",
            RsnWarning,
            stacklevel=3,
        )
        found |= {key: np.full((keypoints, 2), missed) for key in missing}
    elif missing:
        raise AnnotationError(
            f"{len(missing)} of {len(people)} people have no result, the first in image {missing[0][0]}; are the"
            " results of these annotations, in their boxes?"
        )
    return np.array([found[key] for key in keys], np.float64).reshape(len(people), keypoints, 2)


def _rounded(box: ArrayLike) -> Iterator[float]:
    return (round(float(value), 3) for value in np.asarray(box, np.float64))  # as in results
