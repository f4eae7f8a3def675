"""Skeletons: flip pairs, matching by name, files and COCO categories."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsn.errors import AnnotationError, RsnWarning
from rsn.skeletons import (
    COCO_17,
    DEFAULT_SIGMA,
    LSP_14,
    MPII_16,
    NOT_ANNOTATED,
    Skeleton,
    assume_sigmas,
    remap_keypoints,
)
from rsn.weights.metadata import ModelMetadata, parse_metadata

SKELETONS = [COCO_17, MPII_16, LSP_14]


@pytest.mark.parametrize("skeleton", SKELETONS, ids=lambda skeleton: skeleton.name)
def test_flip_indices_are_their_own_inverse_and_exchange_sides(skeleton: Skeleton) -> None:
    for keypoint, other in enumerate(skeleton.flip_indices):
        assert skeleton.flip_indices[other] == keypoint
        assert skeleton.keypoint_names[keypoint].startswith(("left", "right")) == (other != keypoint)


def test_flip_pairs_match_the_references() -> None:
    coco = {tuple(sorted((a, b))) for a, b in enumerate(COCO_17.flip_indices) if a != b}
    mpii = {tuple(sorted((a, b))) for a, b in enumerate(MPII_16.flip_indices) if a != b}
    assert coco == {(a, a + 1) for a in range(1, 17, 2)}
    assert mpii == {(0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)}


@pytest.mark.parametrize("skeleton", SKELETONS, ids=lambda skeleton: skeleton.name)
def test_limbs_connect_every_keypoint(skeleton: Skeleton) -> None:
    reached = {keypoint for limb in skeleton.limbs for keypoint in limb}
    assert reached == set(range(len(skeleton)))


def test_remap_keypoints_marks_missing_keypoints_as_not_annotated() -> None:
    keypoints = np.arange(28, dtype=np.float32).reshape(1, 14, 2)
    visibility = np.full((1, 14), 2)
    points, visible = remap_keypoints(keypoints, visibility, LSP_14, COCO_17)
    left_wrist = COCO_17.keypoint_names.index("left_wrist")
    assert points[0, left_wrist].tolist() == keypoints[0, LSP_14.keypoint_names.index("left_wrist")].tolist()
    assert visible[0, COCO_17.keypoint_names.index("nose")] == NOT_ANNOTATED
    assert (visible[0] == 2).sum() == 12


def test_from_names_returns_predefined_skeletons() -> None:
    assert Skeleton.from_names("person", COCO_17.keypoint_names, ()) is COCO_17


def test_from_names_creates_a_skeleton_without_sigmas() -> None:
    dog = Skeleton.from_names("dog", ["nose", "left_paw", "right_paw"], [(0, 1), (0, 2)])
    assert dog.sigmas is None
    assert dog.flip_indices == (0, 2, 1)


@pytest.mark.parametrize(("keypoints", "limbs"), [(["a", "a"], []), (["a", "b"], [(0, 2)])])
def test_from_names_rejects_invalid_skeletons(keypoints: list[str], limbs: list[tuple[int, int]]) -> None:
    with pytest.raises(AnnotationError):
        Skeleton.from_names("custom", keypoints, limbs)


def test_given_flip_pairs_replace_those_of_the_names() -> None:
    crab = Skeleton.from_names("crab", ["port", "starboard", "left_eye"], flip_pairs=((0, 1),))
    assert crab.flip_indices == (1, 0, 2)
    assert crab.sides == ("left", "right", "middle")


def test_keypoints_match_in_every_spelling() -> None:
    skeleton = Skeleton.from_names("custom", ["RWrist", "tail", "LWrist"])
    assert dict(skeleton.common_keypoints(COCO_17)) == {0: 10, 2: 9}
    coco = [keypoint.replace("left_", "L ").replace("right_", "R ") for keypoint in COCO_17.keypoint_names]
    assert Skeleton.from_names("person", coco) is COCO_17


def test_assume_sigmas_warns_and_names_the_values() -> None:
    skeleton = Skeleton.from_names("custom", ["LWrist", "tail"])
    with pytest.warns(RsnWarning, match="'custom' has no sigmas.*COCO's for 1 keypoint.*0.05 for tail"):
        assert assume_sigmas(skeleton).sigmas == (0.062, DEFAULT_SIGMA)
    assert assume_sigmas(COCO_17) is COCO_17


def test_metadata_keeps_a_custom_skeleton() -> None:
    skeleton = Skeleton.from_names("crab", ["port", "starboard"], [(0, 1)], flip_pairs=((0, 1),), sigmas=[0.1, 0.2])
    metadata = ModelMetadata("rsn18", skeleton=skeleton).to_metadata()
    assert parse_metadata(metadata).skeleton == skeleton
    (key, text), = metadata.items()  # fmt: skip
    old = text.replace(', "flip_pairs": [[0, 1]]', "")
    assert old != text
    assert parse_metadata({key: old}).skeleton.flip_indices == (0, 1)


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


def test_from_file_reads_all_fields(tmp_path: Path) -> None:
    skeleton = Skeleton.from_file(write(tmp_path, CLIMBER))
    assert skeleton.name == "climber"
    assert skeleton.limbs == ((0, 1), (0, 2))
    assert skeleton.flip_indices == (0, 2, 1, 4, 3)
    assert skeleton.upper_body == {0, 1, 2}
    assert skeleton.sigmas == (0.05, 0.06, 0.06, 0.09, 0.08)


def test_from_file_needs_only_names(tmp_path: Path) -> None:
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
def test_from_file_names_each_mistake(tmp_path: Path, right: str, wrong: str, says: str) -> None:
    assert right in CLIMBER
    path = write(tmp_path, CLIMBER.replace(right, wrong, 1))
    with pytest.raises(AnnotationError, match=says) as caught:
        Skeleton.from_file(path)
    assert str(caught.value).startswith(str(path))


def test_from_file_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"gone\.yaml: cannot be read"):
        Skeleton.from_file(tmp_path / "gone.yaml")


PORT = {"id": 1, "name": "crab", "keypoints": ["port", "starboard", "tail"], "skeleton": [[1, 3], [2, 3]]}


@pytest.mark.parametrize("pairs", [[[0, 1]], [["port", "starboard"]]])
def test_from_category_reads_flip_pairs_and_sigmas(pairs: list[Any]) -> None:
    skeleton = Skeleton.from_category(PORT | {"flip_pairs": pairs, "sigmas": [0.1, 0.1, 0.2]}, "crabs.json")
    assert skeleton.limbs == ((0, 2), (1, 2))
    assert skeleton.flip_indices == (1, 0, 2)
    assert skeleton.sigmas == (0.1, 0.1, 0.2)


def test_from_category_reads_flip_idx() -> None:
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
def test_from_category_skips_invalid_limbs_with_a_remark(skeleton: Any, limbs: Any, says: str | None) -> None:
    remarks: list[str] = []
    assert Skeleton.from_category(PORT | {"skeleton": skeleton}, "crabs.json", remarks).limbs == limbs
    assert len(remarks) == (says is not None)
    assert all(says in remark and "'crab'" in remark for remark in remarks if says)


def test_from_category_accepts_missing_limbs() -> None:
    assert Skeleton.from_category({"name": "person", "keypoints": list(COCO_17.keypoint_names)}, "a.json") is COCO_17
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
def test_from_category_names_each_mistake(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(AnnotationError, match=rf"^crabs\.json: .*{says}"):
        Skeleton.from_category(PORT | wrong, "crabs.json")


def test_from_file_rejects_repeated_names_with_sigmas(tmp_path: Path) -> None:
    (tmp_path / "cat.yaml").write_text("name: cat\nkeypoints: [nose, tail, nose]\nsigmas: {nose: 0.1, tail: 0.1}\n")
    with pytest.raises(AnnotationError, match="keypoint names repeat"):
        Skeleton.from_file(tmp_path / "cat.yaml")
