"""Track ids of people who pass, meet, disappear and return."""

import numpy as np
import pytest

from moving_people import Camera, Walker, person, result
from rsn.skeletons import COCO_17, MPII_16, Skeleton
from rsn.tracking.settings import Tracking
from rsn.tracking.tracker import Tracker, similarity_matrix

BOXES_ONLY = Skeleton("boxes", COCO_17.keypoint_names, COCO_17.limbs, COCO_17.upper_body)


def ids(walkers: list[Walker], camera: Camera, seconds: float, **settings: float) -> list[set[int]]:
    """All ids of each walker."""
    tracker = Tracker(COCO_17, Tracking(**settings))
    given: list[set[int]] = [set() for _ in walkers]
    for now, seen, people in camera.watch(walkers, seconds):
        for who, tracked in zip(seen, tracker(people, now), strict=True):
            given[who].add(tracked.track_id)
    return given


def test_passing_people_keep_ids() -> None:
    walkers = [Walker(0, 100, speed=150), Walker(500, 110, speed=-150)]
    assert ids(walkers, Camera(), 3.0) == [{1}, {2}] or ids(walkers, Camera(), 3.0) == [{2}, {1}]


def test_people_who_turn_back_keep_ids() -> None:
    walkers = [Walker(0, 100, speed=120, turns=1.5), Walker(440, 110, speed=-120, turns=1.5)]
    assert [len(given) for given in ids(walkers, Camera(hidden=0.6), 3.0)] == [1, 1]


def test_id_survives_short_gap_only() -> None:
    walker = Walker(0, 100, speed=150)

    def id_after(gap: float) -> int:
        tracker = Tracker(COCO_17, Tracking(max_gap=0.5))
        for now in np.arange(0, 1 + gap, 0.04):
            tracker(result([person(walker.keypoints(now))] if now < 1 else []), now)
        return tracker(result([person(walker.keypoints(1 + gap))]), 1 + gap)[0].track_id

    assert id_after(0.4) == 1
    assert id_after(0.7) == 2


def test_distant_frames_are_no_gap() -> None:
    tracker = Tracker(COCO_17, Tracking(max_gap=0.5))
    still = person(Walker(0, 100, speed=0, steps=0).keypoints(0))
    assert [tracker(result([still]), now)[0].track_id for now in (0.0, 2.0, 4.0)] == [1, 1, 1]


def test_oks_separates_people_in_same_box() -> None:
    standing, walking = (Walker(0, 0, speed=0, steps=steps).keypoints(0.25) for steps in (0, 1))
    walking[:, 0] += standing[:, 0].mean() - walking[:, 0].mean()
    box = [0, 0, 120, 210]
    people = [person(keypoints) for keypoints in (standing, walking)]
    for one in people:
        one.bbox[:] = box
    similarities = similarity_matrix(people, people, COCO_17)
    np.testing.assert_allclose(np.diag(similarities), 1, atol=1e-6)
    assert similarities[0, 1] < 0.96
    np.testing.assert_allclose(similarity_matrix(people, people, BOXES_ONLY), 1)


def test_low_scoring_keypoints_are_ignored() -> None:
    keypoints = Walker(0, 0).keypoints(0)
    scores = np.ones(17)
    scores[9] = 0.5
    astray = keypoints.copy()
    astray[9] += 500
    boxed = person(astray, scores)
    boxed.bbox[:] = person(keypoints).bbox
    assert similarity_matrix([person(keypoints)], [boxed], COCO_17)[0, 0] > 0.999


def test_empty_frames_and_unique_ids() -> None:
    tracker = Tracker(COCO_17)
    assert len(tracker(result([]), 0.0)) == 0
    here, there = (person(Walker(x, 0).keypoints(0)) for x in (0, 900))
    assert [tracked.track_id for tracked in tracker(result([here]), 0.04)] == [1]
    assert len(tracker(result([]), 0.08)) == 0
    assert [tracked.track_id for tracked in tracker(result([there, here]), 0.12)] == [2, 1]


@pytest.mark.parametrize("skeleton", [COCO_17, BOXES_ONLY])
def test_crowd_with_missed_detections_keeps_ids(skeleton: Skeleton) -> None:
    walkers = [Walker(150.0 * i, 80.0 + 17 * (i % 3), speed=(-1) ** i * 40.0) for i in range(8)]
    tracker, last, switches = Tracker(skeleton), dict[int, int](), 0
    for now, seen, people in Camera(misses=0.1).watch(walkers, 2.0):
        for who, tracked in zip(seen, tracker(people, now), strict=True):
            switches += last.get(who, tracked.track_id) != tracked.track_id
            last[who] = tracked.track_id
    assert switches == 0


def test_skeleton_without_sigmas_is_tracked_by_boxes() -> None:
    assert MPII_16.sigmas is None
    tracker = Tracker(MPII_16)
    for step in range(5):
        one = person(np.random.default_rng(step).uniform(0, 90, (16, 2)))
        one.bbox[:] = [10.0 * step, 0, 80, 160]
        assert [tracked.track_id for tracked in tracker(result([one], MPII_16), step / 25)] == [1]
