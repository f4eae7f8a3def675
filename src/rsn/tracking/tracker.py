"""Tracking: people of a frame are matched with those of earlier frames by keypoints and boxes.

An earlier person is expected where the last pose and its velocity predict. The similarity of two people is the mean of
their OKS, which separates people with overlapping boxes, and of their box IoU, which holds if keypoints are few or
wrong. The assignment with the highest sum of similarities wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from rsn.extras import require
from rsn.geometry import FloatArray, box_iou
from rsn.oks import oks
from rsn.results import KEYPOINT_THRESHOLD, Person, PoseResult
from rsn.skeletons import Skeleton
from rsn.tracking.settings import Tracking

VELOCITY_MOMENTUM = 0.5  # weight of the newest step in a person's velocity, because poses are noisy


@dataclass(frozen=True, eq=False)
class _Track:
    """A person of an earlier frame: time of that frame in seconds, and velocity (2,) in pixels per second."""

    person: Person
    seconds: float
    velocity: FloatArray

    def predict(self, seconds: float) -> Person:
        """The person expected at another time: the last pose, moved by the velocity."""
        step = self.velocity * (seconds - self.seconds)
        bbox = self.person.bbox + np.concatenate([step, (0.0, 0.0)])
        return replace(self.person, bbox=bbox, keypoints=self.person.keypoints + step)

    def update(self, person: Person, seconds: float, threshold: float) -> "_Track":
        """The same person in a later frame."""
        elapsed = max(seconds - self.seconds, 1e-3)
        newest = _displacement(self.person, person, threshold) / elapsed
        velocity = self.velocity + VELOCITY_MOMENTUM * (newest - self.velocity)
        return _Track(replace(person, track_id=self.person.track_id), seconds, velocity)


class Tracker:
    """Assigns track ids, frame by frame.

    Args:
        skeleton: of the people. Without sigmas OKS is undefined, and boxes alone are matched.
        settings: similarity and gaps.
        keypoint_threshold: keypoints with lower scores are ignored.

    Raises:
        MissingDependencyError: scipy is not installed.
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
        """The people of the next frame, in their order, with track ids. seconds: its time, which never decreases."""
        # People of the last frame are kept, however long ago it was.
        oldest = min(seconds - self.settings.max_gap, self._last_frame)
        self._tracks = [track for track in self._tracks if track.seconds >= oldest]
        self._last_frame = seconds
        similarities = similarity_matrix(
            [track.predict(seconds) for track in self._tracks], people, self.skeleton, self.keypoint_threshold
        )
        matches = {
            index: self._tracks[track].update(people[index], seconds, self.keypoint_threshold)
            for track, index in _assign(similarities, self.settings.min_similarity)
        }
        current = [
            matches.get(index) or _Track(replace(person, track_id=next(self._ids)), seconds, np.zeros(2))
            for index, person in enumerate(people)
        ]
        ids = {track.person.track_id for track in current}
        self._tracks = current + [track for track in self._tracks if track.person.track_id not in ids]
        return people.with_people([track.person for track in current])

    def predict(self, seconds: float) -> list[Person]:
        """The people of the last frame as expected at another time."""
        return [track.predict(seconds) for track in self._tracks if track.seconds == self._last_frame]


def similarity_matrix(
    first: Sequence[Person],
    second: Sequence[Person],
    skeleton: Skeleton,
    keypoint_threshold: float = KEYPOINT_THRESHOLD,
) -> FloatArray:
    """Similarities (len(first), len(second)) from 0 to 1: the mean of OKS and box IoU."""
    boxes = [np.array([person.bbox for person in people]).reshape(-1, 4) for people in (first, second)]
    iou = box_iou(*boxes)
    if skeleton.sigmas is None or not iou.size:
        return iou
    poses = [[np.column_stack([person.keypoints, person.scores]) for person in people] for people in (first, second)]
    areas = [rows[:, 2:].prod(1) for rows in boxes]
    similarities = oks(poses[0], areas[0], poses[1], areas[1], skeleton.sigmas, score_above=keypoint_threshold)
    return (similarities + iou) / 2


def _assign(similarities: FloatArray, minimum: float) -> list[tuple[int, int]]:
    """The pairs (row, column), with at least the minimum similarity, whose sum is the highest."""
    from scipy.optimize import linear_sum_assignment

    # Pairs below the minimum count as 0, so that they do not displace valid pairs.
    rows, columns = linear_sum_assignment(np.where(similarities >= minimum, similarities, 0), maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if similarities[i, j] >= minimum]


def _displacement(before: Person, after: Person, threshold: float) -> FloatArray:
    """(2,) pixels: the median over keypoints above the threshold in both poses, or else that of the box centers."""
    visible = (before.scores >= threshold) & (after.scores >= threshold)
    if not visible.any():
        return np.asarray(after.bbox[:2] + after.bbox[2:] / 2 - before.bbox[:2] - before.bbox[2:] / 2)
    return np.asarray(np.median((after.keypoints - before.keypoints)[visible], axis=0))
