"""Keypoints without their trembling: a one-euro filter for each (Casiez, Roussel, Vogel, CHI 2012).

A low-pass filter whose cutoff rises with speed: a keypoint at rest is calmed, a keypoint that moves is followed. Speeds count
in skeleton sizes (the square root of the box's area) a second, so that the settings fit near and far people alike.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rsn.geometry import FloatArray
from rsn.results import KEYPOINT_THRESHOLD, Person, PoseResult
from rsn.tracking.settings import Smoothing

RESET_AFTER_S = 0.5  # seconds after which a keypoint's past says nothing about its present


class Smoother:
    """Smooths tracked people, frame after frame; keypoints whose score is below `keypoint_threshold` do not count."""

    def __init__(
        self, settings: Smoothing | None = None, *, keypoint_threshold: float = KEYPOINT_THRESHOLD
    ) -> None:
        self.keypoint_threshold = keypoint_threshold
        self.settings = settings or Smoothing()
        self._filters: dict[int, OneEuro] = {}

    def __call__(self, people: PoseResult, seconds: float) -> PoseResult:
        """The same tracked persons with smoothed keypoints; boxes and scores stay. seconds: the frame's time."""
        self._filters = {
            id: one for id, one in self._filters.items() if one.last_seen >= seconds - RESET_AFTER_S
        }
        return people.with_people([self._smoothed(person, seconds) for person in people])

    def _smoothed(self, person: Person, seconds: float) -> Person:
        assert person.track_id is not None
        one = self._filters.setdefault(person.track_id, OneEuro(self.settings, len(person.keypoints)))
        size = float(np.sqrt(person.bbox[2] * person.bbox[3]))
        keypoints = one(person.keypoints, person.scores >= self.keypoint_threshold, seconds, size)
        return replace(person, keypoints=keypoints)


class OneEuro:
    """The filters of one person's keypoints. last_seen: seconds of the last frame."""

    def __init__(self, settings: Smoothing, keypoints: int) -> None:
        self.settings = settings
        self.last_seen = -np.inf
        self._seconds = np.full(keypoints, -np.inf)  # when each keypoint was last found
        self._points = np.zeros((keypoints, 2))
        self._velocities = np.zeros((keypoints, 2))

    def __call__(
        self, points: FloatArray, found: NDArray[np.bool_], seconds: float, size: float
    ) -> FloatArray:
        """The keypoints of the next frame, smoothed.

        Args:
            points: (K, 2) pixels.
            found: (K,) which keypoints were found; the others are passed on as they are and not remembered.
            seconds: the frame's time.
            size: of the person, in pixels.
        """
        elapsed = seconds - self._seconds
        known = found & (elapsed <= RESET_AFTER_S)
        elapsed = np.where(known, np.maximum(elapsed, 1e-3), 1.0)[:, None]
        speed_share = _share(elapsed, np.asarray(self.settings.speed_cutoff))
        velocities = self._velocities + speed_share * ((points - self._points) / elapsed - self._velocities)
        speeds = np.linalg.norm(velocities, axis=1, keepdims=True) / size
        share = _share(elapsed, self.settings.min_cutoff + self.settings.beta * speeds)
        smooth = np.where(known[:, None], self._points + share * (points - self._points), points)
        self._points = np.where(found[:, None], smooth, self._points)
        self._velocities = np.where(known[:, None], velocities, np.where(found[:, None], 0, self._velocities))
        self._seconds = np.where(found, seconds, self._seconds)
        self.last_seen = seconds
        return np.asarray(smooth)


def _share(elapsed: FloatArray, cutoff: FloatArray) -> FloatArray:
    """The newest value's share in a first-order low-pass filter (cutoff in Hz) after so many seconds."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * cutoff * elapsed)))
