"""OKS between poses, and NMS: the results of MMPose and HRNet."""

from pathlib import Path

import numpy as np
import pytest

from rsn.errors import AnnotationError
from rsn.oks import Nms, deduplicate, nms, oks, soft_nms
from rsn.results import Person, PoseResult
from rsn.skeletons import COCO_17, MPII_16, Skeleton

THRESHOLDS = ("0.3", "0.5", "0.7", "0.9")


def recorded(oracles: Path, *, above: float | None = None) -> tuple[np.ndarray, "np.lib.npyio.NpzFile"]:
    answers = np.load(oracles / "oks_nms.npz")
    poses = answers["keypoints"], answers["area"]
    return oks(*poses, *poses, COCO_17.sigmas, score_above=above), answers


def test_oks_equals_the_recorded_row(oracles: Path) -> None:
    similarity, answers = recorded(oracles)
    assert similarity[0] == pytest.approx(answers["iou0"], abs=1e-6)


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize(("above", "key"), [(None, "keep_"), (0.2, "keep_vis0.2_")])
def test_nms_keeps_the_recorded_poses(oracles: Path, threshold: str, above: float | None, key: str) -> None:
    similarity, answers = recorded(oracles, above=above)
    assert nms(similarity, answers["score"], float(threshold)).tolist() == answers[key + threshold].tolist()


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_soft_nms_keeps_the_recorded_poses(oracles: Path, threshold: str) -> None:
    similarity, answers = recorded(oracles)
    kept, lowered = soft_nms(similarity, answers["score"], float(threshold))
    assert kept.tolist() == answers["soft_" + threshold].tolist()
    assert (np.diff(lowered) <= 0).all()
    assert (lowered <= answers["score"][kept]).all()
    assert lowered[0] == answers["score"].max()


def result(people: list[Person], skeleton: Skeleton = COCO_17) -> PoseResult:
    return PoseResult(tuple(people), skeleton, (100, 100))


def people(*steps: float, scores: tuple[float, ...]) -> list[Person]:
    """The same pose a number of times, each moved to the right by some pixels."""
    pose = np.random.default_rng(0).uniform(0, 100, (17, 2))
    return [
        Person(np.array([0.0, 0, 100, 100]), pose + np.array([step, 0]), np.ones(17), score)
        for step, score in zip(steps, scores, strict=True)
    ]


def raw_scores(found: PoseResult) -> list[float]:
    return [person.raw_score for person in found]


def test_better_one_of_two_duplicates_stays() -> None:
    found = result(people(0, 0.5, 500, scores=(0.2, 0.7, 0.4)))
    assert raw_scores(deduplicate(found)) == [0.7, 0.4]


def test_soft_oks_ranks_a_duplicate_lower() -> None:
    found = result(people(0, 0, 500, scores=(0.6, 0.7, 0.4)))
    left = deduplicate(found, nms_type="soft-oks", threshold=0.5)
    assert raw_scores(left) == pytest.approx([0.7, 0.4, 0.6 * np.exp(-1 / 0.5)])
    assert left[2].keypoints is found[0].keypoints


def test_nms_none_keeps_everything() -> None:
    found = result(people(0, 0, scores=(0.1, 0.2)), MPII_16)
    assert deduplicate(found, nms_type="none") is found


@pytest.mark.parametrize("nms_type", ["oks", "soft-oks"])
def test_no_persons_and_persons_without_area(nms_type: Nms) -> None:
    assert len(deduplicate(result([]), nms_type=nms_type)) == 0
    points = [Person(np.zeros(4), np.zeros((17, 2)), np.ones(17), score) for score in (0.5, 0.9)]
    assert raw_scores(deduplicate(result(points), nms_type=nms_type))[0] == 0.9


def test_skeleton_without_sigmas_is_deduplicated_by_boxes() -> None:
    boxes = {
        0.9: [0, 0, 100, 100],
        0.8: [0, 10, 100, 100],
        0.7: [20, 0, 100, 100],
    }  # IoU 0.82 and 0.67 with the first
    found = [Person(np.array(box, float), np.zeros((16, 2)), np.ones(16), score) for score, box in boxes.items()]
    assert raw_scores(deduplicate(result(found[::-1], MPII_16))) == [0.9, 0.7]


def test_soft_oks_rejects_a_skeleton_without_sigmas() -> None:
    found = result(people(0, scores=(1,)), MPII_16)
    with pytest.raises(AnnotationError, match="needs the sigmas that skeleton 'mpii_16' does not have"):
        deduplicate(found, nms_type="soft-oks")
