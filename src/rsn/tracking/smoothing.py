"""Temporal smoothing of keypoints: a one-euro filter each (Casiez, Roussel, Vogel, CHI 2012).

It is a low-pass filter whose cutoff rises with speed: keypoints at rest are smoothed, moving ones lag little. Speeds
are measured in person sizes (the square root of the box's area) per second, so that settings fit near and far people.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rsn.geometry import FloatArray
from rsn.results import KEYPOINT_THRESHOLD, Person, PoseResult
from rsn.tracking.settings import Smoothing

RESET_AFTER_S = 0.5  # seconds after which a keypoint's filter starts anew


class Smoother:
    """Smooths tracked people, frame by frame. Keypoints that score below `keypoint_threshold` are not filtered."""

    def __init__(self, settings: Smoothing | None = None, *, keypoint_threshold: float = KEYPOINT_THRESHOLD) -> None:
        self.keypoint_threshold = keypoint_threshold
        self.settings = settings or Smoothing()
        self._filters: dict[int, OneEuroFilter] = {}

    def __call__(self, people: PoseResult, seconds: float) -> PoseResult:
        """The same tracked people with smoothed keypoints. seconds: time of the frame."""
        self._filters = {
            track_id: filter_
            for track_id, filter_ in self._filters.items()
            if filter_.last_seen >= seconds - RESET_AFTER_S
        }
        return people.with_people([self._smooth(person, seconds) for person in people])

    def _smooth(self, person: Person, seconds: float) -> Person:
        assert person.track_id is not None
        filter_ = self._filters.setdefault(person.track_id, OneEuroFilter(self.settings, len(person.keypoints)))
        size = float(np.sqrt(person.bbox[2] * person.bbox[3]))
        visible = person.scores >= self.keypoint_threshold
        return replace(person, keypoints=filter_(person.keypoints, visible, seconds, size))


class OneEuroFilter:
    """The filters of one person's keypoints. last_seen: time of the last frame in seconds."""

    def __init__(self, settings: Smoothing, num_keypoints: int) -> None:
        self.settings = settings
        self.last_seen = -np.inf
        self._seconds = np.full(num_keypoints, -np.inf)  # when each keypoint was last visible
        self._keypoints = np.zeros((num_keypoints, 2))
        self._velocities = np.zeros((num_keypoints, 2))

    def __call__(self, keypoints: FloatArray, visible: NDArray[np.bool_], seconds: float, size: float) -> FloatArray:
        """The keypoints of the next frame, smoothed.

        Args:
            keypoints: (K, 2) pixels.
            visible: (K,); other keypoints are returned as they are and not remembered.
            seconds: time of the frame.
            size: of the person, in pixels.
        """
        elapsed = seconds - self._seconds
        known = visible & (elapsed <= RESET_AFTER_S)
        elapsed = np.where(known, np.maximum(elapsed, 1e-3), 1.0)[:, None]
        steps = keypoints - self._keypoints
        weight = _newest_weight(elapsed, np.asarray(self.settings.speed_cutoff))
        velocities = self._velocities + weight * (steps / elapsed - self._velocities)
        speeds = np.linalg.norm(velocities, axis=1, keepdims=True) / size
        weight = _newest_weight(elapsed, self.settings.min_cutoff + self.settings.beta * speeds)
        smooth = np.where(known[:, None], self._keypoints + weight * steps, keypoints)
        self._keypoints = np.where(visible[:, None], smooth, self._keypoints)
        self._velocities = np.where(known[:, None], velocities, np.where(visible[:, None], 0, self._velocities))
        self._seconds = np.where(visible, seconds, self._seconds)
        self.last_seen = seconds
        return np.asarray(smooth)


def _newest_weight(elapsed: FloatArray, cutoff: FloatArray) -> FloatArray:
    """The weight of the newest value in a first-order low-pass filter (cutoff in Hz) after so many seconds."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * cutoff * elapsed)))
