"""Persons, the results of an image, and the COCO results format."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rsn.errors import AnnotationError, ImageError, RsnError, UnknownNameError
from rsn.results import Person, PoseResult, to_raw
from rsn.skeletons import COCO_17, MPII_16
from rsn.visualization.drawing import draw
from rsn.visualization.options import DrawOptions


def test_raw_coco_entry_is_read_as_it_was_written() -> None:
    keypoints = np.random.default_rng(0).uniform(0, 100, (17, 2)).round(2)
    person = Person.from_keypoints([1, 2, 3, 4], keypoints, np.linspace(0, 1, 17).round(3), box_score=0.8)
    back = Person.from_dict(person.to_coco(7, raw=True))
    assert person.raw_score == pytest.approx(0.4)
    np.testing.assert_allclose(back.keypoints, person.keypoints)
    np.testing.assert_allclose(back.raw_scores, person.raw_scores)
    np.testing.assert_allclose(back.bbox, person.bbox)


def test_a_person_is_read_as_it_was_written() -> None:
    person = Person.from_keypoints([1, 2, 3, 4], [[5, 6], [7, 8]], [1.25, 0.75], box_score=0.8)
    back = Person.from_dict(person.to_dict())
    assert back.to_dict() == person.to_dict()
    assert back.bbox.tolist() == [1, 2, 3, 4]


def test_raw_coco_entry_has_the_keys_of_evaluation() -> None:
    entry = Person.from_keypoints([0, 0, 9, 9], [[1, 2], [3, 4]], [1, 0.5]).to_coco("a", raw=True)
    assert entry == {
        "image_id": "a", "category_id": 1, "keypoints": [1, 2, 1, 3, 4, 0.5], "score": 0.75, "box": [0, 0, 9, 9],
    }  # fmt: skip


def test_entry_without_a_box_gets_one_around_the_keypoints() -> None:
    person = Person.from_dict({"keypoints": [1, 2, 1, 4, 8, 1], "score": 1})
    assert person.bbox.tolist() == [1, 2, 3, 6]


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"keypoints": [1, 2], "score": 1},
        {"keypoints": [1, 2, float("nan")], "score": 1},
        {"keypoints": [1, 2, 3]},
        {"keypoints": [1, 2, 3], "score": 1, "std": [1, 2]},
        {"keypoints": [1, 2, 3], "score": 1, "std": [-1]},
        {"keypoints": [1, 2, 3], "score": 1, "std": ["high"]},
    ],
)
def test_from_dict_rejects_invalid_entries(entry: dict) -> None:
    with pytest.raises(AnnotationError):
        Person.from_dict(entry)


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


IMAGE = np.random.default_rng(1).integers(0, 255, (120, 160, 3)).astype(np.uint8)


def person(number: int, track_id: int | None = None) -> Person:
    keypoints = np.random.default_rng(number).uniform(5, 115, (17, 2)).round(2)
    raw = np.linspace(0.4, 1.6, 17).round(3)
    box = np.array([10.0, 5, 60 + number, 90])
    return Person(box, keypoints, raw, 0.5, 0.9 - 0.1 * number, COCO_17, track_id)


@pytest.fixture
def result() -> PoseResult:
    return PoseResult((person(0), person(1), person(2)), COCO_17, (120, 160), IMAGE)


def test_keypoint_by_name(result: PoseResult) -> None:
    wrist = result[0]["left_wrist"]
    index = COCO_17.keypoint_names.index("left_wrist")
    assert (wrist.x, wrist.y) == tuple(result[0].keypoints[index])
    assert wrist.score == result[0].scores[index]
    with pytest.raises(UnknownNameError, match="no keypoint named 'left_wirst'; did you mean left_wrist"):
        result[0]["left_wirst"]
    with pytest.raises(RsnError, match="have no names"):
        Person.from_dict(result[0].to_dict())["nose"]


def test_arrays_of_a_result(result: PoseResult) -> None:
    assert result.keypoints.shape == (3, 17, 2)
    assert result.scores.shape == (3, 17)
    assert result.boxes.tolist() == [[10, 5, 70 + number, 95] for number in range(3)]
    np.testing.assert_allclose(result.box_scores, [0.9, 0.8, 0.7])
    np.testing.assert_allclose(result.person_scores, [one.score for one in result])
    assert result.track_ids is None
    empty = result[[]]
    shapes = (empty.keypoints.shape, empty.scores.shape, empty.boxes.shape, empty.person_scores.shape)
    assert shapes == ((0, 17, 2), (0, 17), (0, 4), (0,))


def test_std_is_nan_where_it_is_unknown(result: PoseResult) -> None:
    known = replace(person(1), std=np.arange(17.0))
    mixed = result.with_people([person(0), known, person(2)])
    assert mixed.std.shape == (3, 17)
    assert np.isnan(mixed.std[[0, 2]]).all()
    np.testing.assert_array_equal(mixed[[1]].std, [known.std])
    np.testing.assert_array_equal(mixed[np.array([False, True, False])].std, [known.std])
    assert mixed[[]].std.shape == (0, 17)
    np.testing.assert_array_equal(known.reordered(range(16, -1, -1)).std, known.std[::-1])


def test_result_is_a_sequence_of_persons(result: PoseResult) -> None:
    assert [one.bbox[2] for one in result] == [60, 61, 62]
    assert result[-1] is result.people[2]
    assert [one.bbox[2] for one in result[1:]] == [61, 62]
    assert [one.bbox[2] for one in result[result.box_scores > 0.75]] == [60, 61]
    assert [one.bbox[2] for one in result[np.array([2, 0])]] == [62, 60]
    assert result[1:].image is IMAGE
    assert repr(result[:1]) == "PoseResult: 1 person, coco_17, image of 160 x 120 pixels"
    assert repr(result[0]) == "Person: score 0.45, box (10, 5, 70, 95), 17 keypoints"
    with pytest.raises(IndexError):
        result[3]
    with pytest.raises(RsnError, match=r"expected persons, got 'nose'; a keypoint is result\[0\]\['nose'\]"):
        result["nose"]


def test_result_is_read_as_it_was_written(result: PoseResult) -> None:
    tracked = result.with_people([replace(person(0, 7), std=np.linspace(1, 9, 17)), person(1, 9)])
    values = json.loads(json.dumps(tracked.to_dict()))
    again = PoseResult.from_dict(values)
    assert again.to_dict() == tracked.to_dict()
    assert again.skeleton is COCO_17
    assert again.image_size == (120, 160)
    assert again.track_ids.tolist() == [7, 9]
    np.testing.assert_allclose(again.keypoints, tracked.keypoints)
    np.testing.assert_allclose(again.std, tracked.std)
    assert ["std" in entry for entry in values["people"]] == [True, False]
    for key in values:
        with pytest.raises(AnnotationError, match="Invalid pose result"):
            PoseResult.from_dict({name: value for name, value in values.items() if name != key})


def test_result_of_another_skeleton_is_refused() -> None:
    values = PoseResult((), MPII_16, (9, 9)).to_dict() | {"people": [person(0).to_dict()]}
    with pytest.raises(AnnotationError, match="expected the 16 of mpii_16, got 17"):
        PoseResult.from_dict(values)


def test_plot_draws_the_persons_above_the_threshold(result: PoseResult, tmp_path: Path) -> None:
    drawn = result.plot()
    assert (drawn.shape, drawn.dtype) == (IMAGE.shape, np.uint8)
    assert (drawn != IMAGE).any()
    assert np.array_equal(result[[]].plot(), IMAGE)
    assert not np.array_equal(result.plot(boxes=True), drawn)
    assert np.array_equal(result.plot(DrawOptions(boxes=True)), result.plot(DrawOptions(), boxes=True))
    with pytest.raises(UnknownNameError, match="no draw option named 'box'; did you mean boxes"):
        result.plot(box=True)
    result.save(tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), drawn)
    assert result._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "changes", "says"),
    [
        ((), {"label": "name"}, "Invalid label: expected one of auto, none, id, score, got 'name'"),
        ((), {"keypoint_threshold": "high"}, "Invalid keypoint_threshold: expected a number from 0 to 1, got 'high'"),
        ((), {"keypoint_threshold": 7}, "Invalid keypoint_threshold: expected a number from 0 to 1, got 7"),
        (("boxes",), {}, "Invalid options: expected rsn.DrawOptions, got 'boxes'"),
        ((), {"uncertainty": True}, "Invalid uncertainty: expected persons with a std, got none"),
    ],
)
def test_plot_rejects_invalid_options(result: PoseResult, arguments: tuple, changes: dict, says: str) -> None:
    with pytest.raises(RsnError, match=says):
        result.plot(*arguments, **changes)


def test_draw_rejects_what_is_no_image(result: PoseResult) -> None:
    with pytest.raises(ImageError, match=r"Invalid image: expected an array \(H, W, 3\) uint8, .* got str"):
        draw("image.jpg", result)
    with pytest.raises(ImageError, match=r"got \(120, 160\) uint8"):
        draw(IMAGE[..., 0], result)


def test_plot_without_an_image_is_refused(result: PoseResult) -> None:
    without = PoseResult(result.people, COCO_17, (120, 160))
    assert without._repr_png_() is None
    with pytest.raises(RsnError, match="this result has no image; estimate with keep_image=True"):
        without.plot()


def test_result_as_a_table(result: PoseResult) -> None:
    pytest.importorskip("pandas")
    table = result.to_pandas()
    assert list(table.columns[:8]) == ["track_id", "score", "x", "y", "width", "height", "nose_x", "nose_y"]
    assert table.shape == (3, 6 + 3 * 17 + 17)
    assert table["left_wrist_std"].isna().all()
    known = result.with_people([replace(person(0), std=np.full(17, 2.5))])
    assert known.to_pandas()["left_wrist_std"].tolist() == [2.5]
    np.testing.assert_allclose(table["left_wrist_x"], [one["left_wrist"].x for one in result])
    assert len(result[[]].to_pandas()) == 0


def test_result_as_supervision_keypoints(result: PoseResult) -> None:
    pytest.importorskip("supervision")
    keypoints = result.to_supervision()
    np.testing.assert_allclose(keypoints.xy, result.keypoints, atol=1e-3)
    np.testing.assert_allclose(keypoints.keypoint_confidence, result.scores, atol=1e-6)
    assert len(result[[]].to_supervision()) == 0
