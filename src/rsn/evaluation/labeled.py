"""Labeled people beside the poses that a network finds in their boxes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rsn.data.annotations import PersonAnnotation
from rsn.results import EVALUATED_BOX
from rsn.skeletons import Skeleton

MEAN_AREA = 0.53  # of a box: the average area of its person in COCO
MAX_DIFFERENCE = 0.1  # pixels between a labeled box and that of its result, which is rounded


def match_results(people: Sequence[PersonAnnotation], results: Sequence[dict[str, Any]]) -> list[dict[str, Any] | None]:
    """For each labeled person the result for the same box; None where there is none.

    results: what `predict_poses` gives for labeled boxes, joined.
    """
    by_image: dict[Any, list[dict[str, Any]]] = {}
    for entry in results:
        by_image.setdefault(entry["image_id"], []).append(entry)
    found: list[dict[str, Any] | None] = []
    for person in people:
        same = (
            entry
            for entry in by_image.get(person.image.id, ())
            if np.abs(np.subtract(entry[EVALUATED_BOX], person.box)).max() < MAX_DIFFERENCE
        )
        found.append(next(same, None))
    return found


def mean_oks(people: Sequence[PersonAnnotation], results: Sequence[dict[str, Any]], skeleton: Skeleton) -> float:
    """The mean OKS of labeled people and the poses found in their boxes, from 0 to 1; without a pose it is 0.

    It changes more smoothly than AP, so it shows small gains on few people. The area of a person is taken as 0.53 of
    the box. people: each with a labeled keypoint. results: as in `match_results`.
    """
    total = 0.0
    for person, entry in zip(people, match_results(people, results), strict=True):
        if entry is not None:
            labeled = person.visibility > 0
            offsets = np.reshape(entry["keypoints"], (-1, 3))[labeled, :2] - person.keypoints[labeled]
            area = MEAN_AREA * person.box[2] * person.box[3]
            spread = 2 * np.asarray(skeleton.sigmas)[labeled]
            total += float(np.exp(-np.square(offsets).sum(1) / (2 * area * spread**2)).mean())
    return total / len(people)
