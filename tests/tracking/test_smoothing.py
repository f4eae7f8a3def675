"""The one-euro filter: jitter, lag, scale, and reset."""

from dataclasses import replace

import numpy as np
import pytest

from moving_people import Camera, Walker, person, result
from rsn.tracking.settings import Smoothing
from rsn.tracking.smoothing import OneEuroFilter, Smoother

HEIGHT = 200.0


def smoothed(walker: Walker, settings: Smoothing) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(T, 17, 2) each: true, detected and smoothed keypoints, without the first second."""
    smoother, rows = Smoother(settings), []
    for now, _, people in Camera(noise=0.01).watch([walker], 4.0):
        after = smoother(result([replace(people[0], track_id=1)]), now)[0].keypoints
        rows.append((walker.keypoints(now), people[0].keypoints, after))
    return tuple(np.array(column)[25:] for column in zip(*rows, strict=True))


def test_smoothing_reduces_jitter_at_rest() -> None:
    _, found, after = smoothed(Walker(300, 100, speed=0, steps=0), Smoothing())
    assert np.diff(after, axis=0).std() < 0.35 * np.diff(found, axis=0).std()


def test_smoothing_follows_walker() -> None:
    truth, _, after = smoothed(Walker(0, 100, speed=150), Smoothing())
    assert np.sqrt(np.mean((after - truth) ** 2)) < 0.012 * HEIGHT
    _, _, slow = smoothed(Walker(0, 100, speed=150), Smoothing(beta=0))
    assert np.sqrt(np.mean((slow - truth) ** 2)) > 0.05 * HEIGHT


def test_infinite_cutoff_changes_nothing() -> None:
    _, found, after = smoothed(Walker(0, 100), Smoothing(min_cutoff=np.inf))
    np.testing.assert_allclose(after, found, atol=1e-9)


def test_smoothing_is_scale_invariant() -> None:
    def last(scale: float) -> np.ndarray:
        one = OneEuroFilter(Smoothing(), 1)
        for step in range(20):
            point = scale * np.array([[np.sin(step / 3), step / 5]])
            point = one(point, np.array([True]), step / 25, size=10 * scale)
        return point / scale

    np.testing.assert_allclose(last(1.0), last(7.0), rtol=1e-9)


def test_filter_equals_formula_of_paper() -> None:
    """Second sample of a keypoint at rest that jumps by 10 pixels in 1/25 s, for a skeleton of 100 pixels."""
    one = OneEuroFilter(Smoothing(min_cutoff=1.0, beta=2.0, speed_cutoff=1.0), 1)
    here = np.array([True])
    one(np.array([[0.0, 0.0]]), here, 0.0, 100.0)
    after = one(np.array([[10.0, 0.0]]), here, 0.04, 100.0)
    rate = 1 / (1 + 1 / (2 * np.pi * 1.0 * 0.04))
    speed = rate * (10 / 0.04) / 100
    cutoff = 1.0 + 2.0 * speed
    assert after[0, 0] == pytest.approx(10 / (1 + 1 / (2 * np.pi * cutoff * 0.04)))


def test_invisible_keypoint_is_not_remembered() -> None:
    one = OneEuroFilter(Smoothing(), 1)
    still, astray = np.array([[50.0, 50.0]]), np.array([[400.0, 0.0]])
    one(still, np.array([True]), 0.0, 100.0)
    assert one(astray, np.array([False]), 0.04, 100.0).tolist() == astray.tolist()
    assert one(still, np.array([True]), 0.08, 100.0).tolist() == still.tolist()


def test_filter_restarts_after_half_a_second() -> None:
    one = OneEuroFilter(Smoothing(), 1)
    one(np.array([[0.0, 0.0]]), np.array([True]), 0.0, 100.0)
    assert one(np.array([[90.0, 0.0]]), np.array([True]), 0.6, 100.0).tolist() == [[90.0, 0.0]]


def test_filters_of_people_are_separate() -> None:
    smoother = Smoother()
    first, second = (person(Walker(x, 0).keypoints(0)) for x in (0, 500))
    smoother(result([replace(first, track_id=1)]), 0.0)
    after = smoother(result([replace(second, track_id=2)]), 0.04)[0]
    assert after.track_id == 2
    np.testing.assert_array_equal(after.keypoints, second.keypoints)
