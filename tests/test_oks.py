"""OKS between poses and OKS-NMS: the answers of MMPose and HRNet."""

from pathlib import Path

import numpy as np
import pytest

from rsn.errors import AnnotationError
from rsn.oks import Nms, Poses, oks_nms, soft_oks_nms, without_doubles
from rsn.people import Person
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
    assert [person.raw_score for person in without_doubles(found, COCO_17, nms="oks")] == [0.7, 0.4]


def test_a_double_is_ranked_lower_softly() -> None:
    found = people(0, 0, 500, scores=(0.6, 0.7, 0.4))
    left = without_doubles(found, COCO_17, nms="soft-oks", threshold=0.5)
    assert [person.raw_score for person in left] == pytest.approx([0.7, 0.4, 0.6 * np.exp(-1 / 0.5)])
    assert left[2].keypoints is found[0].keypoints


def test_all_stay_where_nothing_was_asked_for() -> None:
    found = people(0, 0, scores=(0.1, 0.2))
    assert without_doubles(found, MPII_16, nms="none") == found


@pytest.mark.parametrize("nms", ["oks", "soft-oks"])
def test_nobody_and_people_without_area(nms: Nms) -> None:
    assert without_doubles([], COCO_17, nms=nms) == []
    points = [Person(np.zeros(4), np.zeros((17, 2)), np.ones(17), score) for score in (0.5, 0.9)]
    assert without_doubles(points, COCO_17, nms=nms)[0].raw_score == 0.9


def test_a_body_without_sigmas_is_refused() -> None:
    with pytest.raises(AnnotationError, match="mpii_16' has no sigmas"):
        without_doubles(people(0, scores=(1,)), MPII_16, nms="oks")
