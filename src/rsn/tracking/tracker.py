"""Who is who over time: people of one frame joined to those of the frames before, by their keypoints and boxes.

A person is looked for where the last pose and its speed say. How alike two people are is the mean of their OKS, which
tells apart people whose boxes overlap, and of the overlap of their boxes, which holds where keypoints are few or wrong.
The pairs are those whose similarities add up to the most (the assignment problem).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from rsn.extras import require
from rsn.geometry import FloatArray, box_iou
from rsn.oks import oks
from rsn.results import KEYPOINT_THRESHOLD, Person, PoseResult
from rsn.skeletons import Skeleton
from rsn.tracking.settings import Tracking

VELOCITY_MOMENTUM = 0.5  # share of the newest step in a person's speed: half of a pose is noise


@dataclass(frozen=True, eq=False)
class _Track:
    """A person of an earlier frame: the time of that frame in seconds, and the velocity (2,) in pixels per second."""

    person: Person
    seconds: float
    velocity: FloatArray

    def at(self, seconds: float) -> Person:
        """The person as expected at another time: the last pose, moved by the velocity."""
        step = self.velocity * (seconds - self.seconds)
        bbox = self.person.bbox + np.concatenate([step, (0.0, 0.0)])
        return replace(self.person, bbox=bbox, keypoints=self.person.keypoints + step)

    def seen(self, person: Person, seconds: float, threshold: float) -> "_Track":
        """The same person in a later frame."""
        elapsed = max(seconds - self.seconds, 1e-3)
        velocity = self.velocity + VELOCITY_MOMENTUM * (
            _step(self.person, person, threshold) / elapsed - self.velocity
        )
        return _Track(replace(person, track_id=self.person.track_id), seconds, velocity)


class Tracker:
    """Gives people their ids, frame after frame.

    Args:
        skeleton: of the people's keypoints. Where it has no sigmas OKS is not defined, and boxes alone decide.
        settings: how alike, and for how long out of sight.
        keypoint_threshold: keypoints whose score is lower do not count.

    Raises:
        DeviceError: scipy is not installed.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        settings: Tracking | None = None,
        *,
        keypoint_threshold: float = KEYPOINT_THRESHOLD,
    ) -> None:
        require("scipy", extra="video", feature="tracking")
        self.skeleton = skeleton
        self.settings = settings or Tracking()
        self.keypoint_threshold = keypoint_threshold
        self._tracks: list[_Track] = []
        self._last_frame = -np.inf
        self._ids = count(1)

    def __call__(self, people: PoseResult, seconds: float) -> PoseResult:
        """The persons of the next frame, in their order, with track IDs. seconds: the frame's time, never decreasing."""
        # Persons of the last frame are kept, however long ago that frame was.
        limit = min(seconds - self.settings.max_gap, self._last_frame)
        self._tracks = [track for track in self._tracks if track.seconds >= limit]
        self._last_frame = seconds
        expected = [track.at(seconds) for track in self._tracks]
        pairs = _pairs(
            similarity_matrix(expected, people, self.skeleton, self.keypoint_threshold),
            self.settings.min_similarity,
        )
        known = {
            theirs: self._tracks[ours].seen(people[theirs], seconds, self.keypoint_threshold)
            for ours, theirs in pairs
        }
        now = [
            known.get(i) or _Track(replace(person, track_id=next(self._ids)), seconds, np.zeros(2))
            for i, person in enumerate(people)
        ]
        again = {track.person.track_id for track in now}
        self._tracks = now + [track for track in self._tracks if track.person.track_id not in again]
        return people.with_people([track.person for track in now])

    def expected(self, seconds: float) -> list[Person]:
        """Those of the last frame, where they should be at another time: boxes and keypoints moved on."""
        return [track.at(seconds) for track in self._tracks if track.seconds == self._last_frame]


def similarity_matrix(
    ours: Sequence[Person],
    theirs: Sequence[Person],
    skeleton: Skeleton,
    keypoint_threshold: float = KEYPOINT_THRESHOLD,
) -> FloatArray:
    """How alike people are, (len(ours), len(theirs)), 0 to 1: the mean of OKS and box overlap."""
    boxes, others = (np.array([p.bbox for p in people]).reshape(-1, 4) for people in (ours, theirs))
    common = box_iou(boxes, others)
    if skeleton.sigmas is None or not common.size:
        return common
    poses, other_poses = (
        [np.column_stack([person.keypoints, person.scores]) for person in people] for people in (ours, theirs)
    )
    areas, other_areas = (rows[:, 2:].prod(1) for rows in (boxes, others))
    alike = oks(poses, areas, other_poses, other_areas, skeleton.sigmas, score_above=keypoint_threshold)
    return (alike + common) / 2


def _pairs(similar: FloatArray, least: float) -> list[tuple[int, int]]:
    """The best pairs (row, column) of at least so much similarity."""
    from scipy.optimize import linear_sum_assignment

    # A pair below the least must not cost another pair its better half, so it counts nothing.
    rows, columns = linear_sum_assignment(np.where(similar >= least, similar, 0), maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if similar[i, j] >= least]


def _step(before: Person, after: Person, threshold: float) -> FloatArray:
    """How far a skeleton went, (2,) pixels: the median of the keypoints that were found both times, else the box's middle."""
    found: NDArray[np.bool_] = (before.scores >= threshold) & (after.scores >= threshold)
    if not found.any():
        return np.asarray(after.bbox[:2] + after.bbox[2:] / 2 - before.bbox[:2] - before.bbox[2:] / 2)
    return np.asarray(np.median((after.keypoints - before.keypoints)[found], axis=0))
