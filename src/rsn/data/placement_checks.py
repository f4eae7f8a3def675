"""What keypoints, boxes and the sizes of images say about each other."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsn.data import issues as kinds
from rsn.data.box_values import SMALLEST_BOX, is_outside
from rsn.data.issues import IssueType
from rsn.data.records import Records
from rsn.data.references import Id

SLACK = 1.0  # pixels outside the image that are nobody's mistake: rounding, and pixels counted from 1
FAR = 0.1  # of the longer side of a box: how far outside a keypoint must lie to be far from it

TOLD = (kinds.BOX_OUTSIDE, kinds.KEYPOINT_OUTSIDE, kinds.DUPLICATE_PERSON)


def points_outside(points: NDArray[np.floating[Any]], sizes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points (..., 2) lie outside images of (width, height) (..., 2) by more than `SLACK`."""
    return np.asarray(((points < -SLACK) | (points > sizes + SLACK)).any(-1))


def examine(records: Records) -> None:
    """Add to the findings of records what keypoints, boxes and images' sizes say about each other."""
    people = [person for person in records.annotations if not person.crowd and person.marked]
    if not people:
        return
    keypoints = np.stack([person.keypoints for person in people])  # (N, K, 3)
    boxes = np.stack([person.box for person in people])
    sizes = np.asarray(
        [person.image.size or (np.nan, np.nan) for person in people]
    )  # NaN: nothing is outside
    points, visibility = keypoints[..., :2], keypoints[..., 2]
    marked = visibility > 0
    low, high = boxes[:, None, :2], boxes[:, None, :2] + boxes[:, None, 2:]
    slack = FAR * boxes[:, 2:].max(1)[:, None, None]
    far = ((points < low - slack) | (points > high + slack)).any(2) & marked
    beyond = points_outside(points, sizes[:, None]) & np.isfinite(sizes).all(1)[:, None]
    outside = np.asarray([is_outside(person.box.tolist(), person.image.size) for person in people])
    over = (boxes[:, :2] < -SLACK).any(1) & np.isfinite(sizes).all(1)
    over |= (boxes[:, :2] + boxes[:, 2:] > sizes + SLACK).any(1)
    is_box = boxes[:, 2:].min(1) >= SMALLEST_BOX
    found: dict[IssueType, NDArray[np.bool_]] = {
        kinds.KEYPOINT_FAR_FROM_BOX: is_box & (far.sum(1) >= 0.5 * marked.sum(1)),
        kinds.KEYPOINT_OUTSIDE: (beyond & (visibility == 2)).any(1),
        kinds.OCCLUDED_OUTSIDE: (beyond & (visibility == 1)).any(1),
        kinds.BOX_OUTSIDE: outside,
        kinds.BOX_EXCEEDS_IMAGE: over & ~outside,
    }
    for kind, whom in found.items():
        for place in np.flatnonzero(whom):
            records.issues.add(kind, people[place].id)
    poses: dict[tuple[Id, bytes], Id] = {}
    for person in people:
        pose = person.image.id, person.keypoints[:, :2].tobytes()
        if pose in poses:
            records.issues.add(kinds.DUPLICATE_PERSON, person.id, f"as {poses[pose]}")
        poses.setdefault(pose, person.id)
