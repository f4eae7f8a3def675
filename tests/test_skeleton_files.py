"""Skeletons from YAML files and COCO categories, and what a mistake in one gets."""

from pathlib import Path
from typing import Any

import pytest

from rsn.errors import AnnotationError
from rsn.skeletons import COCO_17, Skeleton

CLIMBER = """
name: climber
keypoints: [head, hand_a, hand_b, left_foot, right_foot]
limbs: [[head, hand_a], [head, hand_b]]
flip_pairs: [[hand_a, hand_b], [left_foot, right_foot]]
upper_body: [head, hand_a, hand_b]
sigmas: {head: 0.05, hand_a: 0.06, hand_b: 0.06, right_foot: 0.08, left_foot: 0.09}
"""


def write(folder: Path, text: str) -> Path:
    (folder / "skeleton.yaml").write_text(text)
    return folder / "skeleton.yaml"


def test_a_skeleton_file(tmp_path: Path) -> None:
    skeleton = Skeleton.from_file(write(tmp_path, CLIMBER))
    assert skeleton.name == "climber"
    assert skeleton.limbs == ((0, 1), (0, 2))
    assert skeleton.flip_indices == (0, 2, 1, 4, 3)
    assert skeleton.upper_body == {0, 1, 2}
    assert skeleton.sigmas == (0.05, 0.06, 0.06, 0.09, 0.08)


def test_names_alone_are_enough(tmp_path: Path) -> None:
    skeleton = Skeleton.from_file(write(tmp_path, "name: small\nkeypoints: [Nose, L_Knee, R_Knee]"))
    assert (skeleton.flip_indices, skeleton.upper_body, skeleton.sigmas) == ((0, 2, 1), {0}, None)


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("limbs: [[head, hand_a]", "limbs: [[hed, hand_a]", "limbs: there is no keypoint 'hed'; did you mean head"),
        ("limbs:", "limb:", "Unknown key: 'limb'. Did you mean 'limbs'"),
        ("name: climber", "", "Missing key: 'name'"),
        ("head: 0.05, ", "", "Invalid sigmas: .*got none for head"),
        ("head: 0.05", "head: -1", "Invalid sigmas: expected 5 positive numbers"),
        ("{head: 0.05", "{tail: 1, head: 0.05", "sigmas: there is no keypoint 'tail'; known: head"),
        ("[[hand_a, hand_b]", "[[hand_a, hand_a]", "two pairs, or twice in one"),
        ("[head, hand_a, hand_b, left_foot, right_foot]", "[]", "there is no keypoint|no keypoints"),
        ("left_foot, right_foot]\nlimbs", "left_foot, LFoot]\nlimbs", "got none for LFoot"),
        ("[[head, hand_a], ", "[[head], ", "limbs.0"),
        (CLIMBER, "- head", "a skeleton file is a YAML mapping"),
        (CLIMBER, "[", "not valid YAML"),
        (CLIMBER, "name: a\nkeypoints: [left_foot, LFoot]", r"keypoint names repeat \(left_foot, LFoot\)"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_sentence(tmp_path: Path, right: str, wrong: str, says: str) -> None:
    assert right in CLIMBER
    path = write(tmp_path, CLIMBER.replace(right, wrong, 1))
    with pytest.raises(AnnotationError, match=says) as caught:
        Skeleton.from_file(path)
    assert str(caught.value).startswith(str(path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"gone\.yaml: cannot be read"):
        Skeleton.from_file(tmp_path / "gone.yaml")


PORT = {"id": 1, "name": "crab", "keypoints": ["port", "starboard", "tail"], "skeleton": [[1, 3], [2, 3]]}


@pytest.mark.parametrize("pairs", [[[0, 1]], [["port", "starboard"]]])
def test_a_category_with_what_others_add(pairs: list[Any]) -> None:
    skeleton = Skeleton.from_category(PORT | {"flip_pairs": pairs, "sigmas": [0.1, 0.1, 0.2]}, "crabs.json")
    assert skeleton.limbs == ((0, 2), (1, 2))
    assert skeleton.flip_indices == (1, 0, 2)
    assert skeleton.sigmas == (0.1, 0.1, 0.2)


def test_flip_idx_of_ultralytics_gives_the_pairs() -> None:
    assert Skeleton.from_category(PORT | {"flip_idx": [1, 0, 2]}, "crabs.json").flip_indices == (1, 0, 2)
    assert Skeleton.from_category(PORT | {"flip_idx": [0, 1, 2]}, "crabs.json").flip_pairs == ()


@pytest.mark.parametrize(
    ("skeleton", "limbs", "says"),
    [
        ([[0, 1], [1, 2]], ((0, 1), (1, 2)), "counts keypoints from 0, COCO's counts from 1"),
        ([["0", "2"]], ((0, 2),), "counts keypoints from 0"),
        ([["tail", "port"], [2, 3]], ((2, 0), (1, 2)), None),
        (
            [[1, 3], [2, 4]],
            ((0, 2),),
            "1 of 2 limbs are not drawn; its skeleton needs pairs of its 3 keypoints",
        ),
        ([[0, 1], [2, 3]], ((1, 2),), "1 of 2 limbs are not drawn"),
        ([[1], None, [1, 2]], ((0, 1),), "2 of 3 limbs are not drawn"),
        ({"a": 1}, (), "1 of 1 limbs are not drawn"),
    ],
)
def test_limbs_that_cannot_be_are_told_and_the_rest_is_drawn(
    skeleton: Any, limbs: Any, says: str | None
) -> None:
    remarks: list[str] = []
    assert Skeleton.from_category(PORT | {"skeleton": skeleton}, "crabs.json", remarks).limbs == limbs
    assert len(remarks) == (says is not None)
    assert all(says in remark and "'crab'" in remark for remark in remarks if says)


def test_a_category_without_limbs() -> None:
    assert (
        Skeleton.from_category({"name": "person", "keypoints": list(COCO_17.keypoint_names)}, "a.json")
        is COCO_17
    )
    assert Skeleton.from_category(PORT | {"skeleton": None}, "a.json").limbs == ()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"flip_pairs": [["prt", "tail"]]}, "flip_pairs: there is no keypoint 'prt'; did you mean port"),
        ({"flip_pairs": [[0, 3]]}, "Invalid flip_pairs: expected keypoints 0 to 2, got 3"),
        ({"sigmas": [0.1]}, "Invalid sigmas: expected 3 positive numbers"),
        ({"sigmas": ["a"]}, "numbers as sigmas"),
        ({"keypoints": 3}, "expected a list of keypoint names"),
        ({"keypoints": "port, starboard"}, "expected a list of keypoint names"),
        (
            {"flip_idx": [1, 2, 0]},
            "Invalid flip_idx: expected the index of the counterpart of each of the 3 keypoints",
        ),
        ({"flip_idx": [1, 0]}, "Invalid flip_idx: .* of the 3 keypoints"),
    ],
)
def test_a_category_that_cannot_be(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(AnnotationError, match=rf"^crabs\.json: .*{says}"):
        Skeleton.from_category(PORT | wrong, "crabs.json")


def test_a_keypoint_that_is_named_twice_is_a_sentence_with_sigmas_too(tmp_path: Path) -> None:
    (tmp_path / "cat.yaml").write_text(
        "name: cat\nkeypoints: [nose, tail, nose]\nsigmas: {nose: 0.1, tail: 0.1}\n"
    )
    with pytest.raises(AnnotationError, match="keypoint names repeat"):
        Skeleton.from_file(tmp_path / "cat.yaml")
