"""OKS between poses and OKS-NMS: the answers of MMPose and HRNet."""

from pathlib import Path

import numpy as np
import pytest

from rsn.errors import AnnotationError
from rsn.oks import Nms, Poses, deduplicate, oks_nms, soft_oks_nms
from rsn.results import Person
from rsn.skeletons import COCO_17, MPII_16

THRESHOLDS = ("0.3", "0.5", "0.7", "0.9")


def recorded(oracles: Path, *, above: float | None = None) -> tuple[Poses, "np.lib.npyio.NpzFile"]:
    answers = np.load(oracles / "oks_nms.npz")
    return Poses.of(answers["keypoints"], answers["area"], COCO_17.sigmas, above=above), answers


def test_oks_equals_the_recorded_row(oracles: Path) -> None:
    poses, answers = recorded(oracles)
    assert poses.oks(0, np.arange(40)) == pytest.approx(answers["iou0"], abs=1e-6)


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize(("above", "key"), [(None, "keep_"), (0.2, "keep_vis0.2_")])
def test_the_recorded_poses_stay(oracles: Path, threshold: str, above: float | None, key: str) -> None:
    poses, answers = recorded(oracles, above=above)
    kept = oks_nms(poses, answers["score"], float(threshold))
    assert kept.tolist() == answers[key + threshold].tolist()


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_the_recorded_poses_stay_softly(oracles: Path, threshold: str) -> None:
    poses, answers = recorded(oracles)
    kept, lowered = soft_oks_nms(poses, answers["score"], float(threshold))
    assert kept.tolist() == answers["soft_" + threshold].tolist()
    assert (np.diff(lowered) <= 0).all()
    assert (lowered <= answers["score"][kept]).all()
    assert lowered[0] == answers["score"].max()


def people(*steps: float, scores: tuple[float, ...]) -> list[Person]:
    """The same pose a number of times, each so many pixels further to the right."""
    pose = np.random.default_rng(0).uniform(0, 100, (17, 2))
    return [
        Person([0, 0, 100, 100], pose + np.array([step, 0]), np.ones(17), score)
        for step, score in zip(steps, scores, strict=True)
    ]


def test_the_better_of_two_equals_stays() -> None:
    found = people(0, 0.5, 500, scores=(0.2, 0.7, 0.4))
    assert [person.raw_score for person in deduplicate(found, COCO_17, nms="oks")] == [0.7, 0.4]


def test_a_double_is_ranked_lower_softly() -> None:
    found = people(0, 0, 500, scores=(0.6, 0.7, 0.4))
    left = deduplicate(found, COCO_17, nms="soft-oks", threshold=0.5)
    assert [person.raw_score for person in left] == pytest.approx([0.7, 0.4, 0.6 * np.exp(-1 / 0.5)])
    assert left[2].keypoints is found[0].keypoints


def test_all_stay_where_nothing_was_asked_for() -> None:
    found = people(0, 0, scores=(0.1, 0.2))
    assert deduplicate(found, MPII_16, nms="none") == found


@pytest.mark.parametrize("nms", ["oks", "soft-oks"])
def test_nobody_and_people_without_area(nms: Nms) -> None:
    assert deduplicate([], COCO_17, nms=nms) == []
    points = [Person(np.zeros(4), np.zeros((17, 2)), np.ones(17), score) for score in (0.5, 0.9)]
    assert deduplicate(points, COCO_17, nms=nms)[0].raw_score == 0.9


def test_people_of_a_skeleton_without_sigmas_are_deduplicated_by_their_boxes() -> None:
    boxes = {"best": [0, 0, 100, 100], "IoU 0.82": [0, 10, 100, 100], "IoU 0.67": [20, 0, 100, 100]}
    scores = {"best": 0.9, "IoU 0.82": 0.8, "IoU 0.67": 0.7}
    found = [
        Person(np.array(boxes[name], float), np.zeros((16, 2)), np.ones(16), scores[name]) for name in boxes
    ]
    assert [person.raw_score for person in deduplicate(found[::-1], MPII_16)] == [0.9, 0.7]


def test_soft_oks_rejects_a_skeleton_without_sigmas() -> None:
    with pytest.raises(
        AnnotationError, match="soft-oks needs the sigmas that skeleton 'mpii_16' does not have"
    ):
        deduplicate(people(0, scores=(1,)), MPII_16, nms="soft-oks")
