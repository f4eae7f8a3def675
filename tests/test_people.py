"""People and the COCO results format."""

import numpy as np
import pytest

from rsn.errors import AnnotationError
from rsn.results import Person, to_raw


def test_there_and_back() -> None:
    keypoints = np.random.default_rng(0).uniform(0, 100, (17, 2)).round(2)
    person = Person.from_keypoints([1, 2, 3, 4], keypoints, np.linspace(0, 1, 17).round(3), box_score=0.8)
    back = Person.from_dict(person.to_coco(7, raw=True))
    assert person.raw_score == pytest.approx(0.4)
    np.testing.assert_allclose(back.keypoints, person.keypoints)
    np.testing.assert_allclose(back.raw_scores, person.raw_scores)
    np.testing.assert_allclose(back.box, person.box)


def test_a_person_is_read_as_it_was_written() -> None:
    person = Person.from_keypoints([1, 2, 3, 4], [[5, 6], [7, 8]], [1.25, 0.75], box_score=0.8)
    back = Person.from_dict(person.to_dict())
    assert back.to_dict() == person.to_dict()
    assert back.box.tolist() == [1, 2, 3, 4]


def test_an_entry_has_what_evaluators_read() -> None:
    entry = Person.from_keypoints([0, 0, 9, 9], [[1, 2], [3, 4]], [1, 0.5]).to_coco("a", raw=True)
    assert entry == {
        "image_id": "a", "category_id": 1, "keypoints": [1, 2, 1, 3, 4, 0.5], "score": 0.75, "box": [0, 0, 9, 9],
    }  # fmt: skip


def test_without_a_box_it_is_drawn_around_the_keypoints() -> None:
    person = Person.from_dict({"keypoints": [1, 2, 1, 4, 8, 1], "score": 1})
    assert person.box.tolist() == [1, 2, 3, 6]


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"keypoints": [1, 2], "score": 1},
        {"keypoints": [1, 2, float("nan")], "score": 1},
        {"keypoints": [1, 2, 3]},
    ],
)
def test_other_entries_are_refused(entry: dict) -> None:
    with pytest.raises(AnnotationError):
        Person.from_dict(entry)


def test_mmposes_rule_counts_the_keypoints_above() -> None:
    keypoints = [0.1, 0.4, 0.8, float("nan")]
    person = Person.from_keypoints([0, 0, 9, 9], np.zeros((4, 2)), keypoints, box_score=0.5, above=0.2)
    assert person.raw_score == pytest.approx(0.5 * 0.6)
    assert Person.from_keypoints([0, 0, 9, 9], np.zeros((4, 2)), [0.1] * 4, above=0.2).raw_score == 0


def test_scores_are_between_0_and_1() -> None:
    person = Person.from_keypoints([0, 0, 9, 9], np.zeros((4, 2)), [0.3, 0.5, 1.1, 1.7], box_score=0.5)
    np.testing.assert_allclose(person.scores, [0, 0, 0.6, 1])
    assert person.score == pytest.approx(0.5 * 1.6 / 4)
    assert person.raw_score == pytest.approx(0.5 * 3.6 / 4)


def test_entries_with_scores_between_0_and_1_are_read_as_raw() -> None:
    person = Person.from_keypoints([0, 0, 9, 9], [[1, 2], [3, 4]], [1.25, 0.75], box_score=0.8)
    entry = person.to_coco("a")
    assert entry["keypoints"] == [1, 2, 0.75, 3, 4, 0.25]
    assert (entry["score"], entry["box_score"], entry["score_type"]) == (0.4, 0.8, "0 to 1")
    assert entry == {"image_id": "a", "category_id": 1} | person.to_dict()
    raw = to_raw(entry)
    assert (raw["box"], "bbox" in raw) == ([0, 0, 9, 9], False)  # evaluators would take its area
    assert raw["keypoints"] == person.to_coco("a", raw=True)["keypoints"]
    assert raw["score"] == pytest.approx(person.raw_score)
    assert to_raw(raw) == raw


@pytest.mark.parametrize("keypoints", [[1, 2], None, ["x", 1, 2]])
def test_to_raw_returns_what_it_cannot_read(keypoints: object) -> None:
    entry = {"keypoints": keypoints, "score": 0.5, "score_type": "0 to 1"}
    assert to_raw(entry) is entry
