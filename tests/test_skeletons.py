"""Bodies: mirror pairs, and joints matched by name."""

import numpy as np
import pytest

from rsn.errors import AnnotationError, RsnWarning
from rsn.networks.card import Card
from rsn.skeletons import (
    COCO_17,
    DEFAULT_SIGMA,
    LSP_14,
    MPII_16,
    NOT_ANNOTATED,
    Skeleton,
    convert,
    from_joint_names,
    with_sigmas,
)

BODIES = [COCO_17, MPII_16, LSP_14]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.name)
def test_mirror_is_its_own_inverse_and_swaps_sides(body: Skeleton) -> None:
    for joint, other in enumerate(body.mirror):
        assert body.mirror[other] == joint
        assert body.joints[joint].startswith(("left", "right")) == (other != joint)


def test_mirror_pairs_are_those_of_the_references() -> None:
    coco = {tuple(sorted((a, b))) for a, b in enumerate(COCO_17.mirror) if a != b}
    mpii = {tuple(sorted((a, b))) for a, b in enumerate(MPII_16.mirror) if a != b}
    assert coco == {(a, a + 1) for a in range(1, 17, 2)}
    assert mpii == {(0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)}


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.name)
def test_limbs_connect_every_joint(body: Skeleton) -> None:
    reached = {joint for limb in body.limbs for joint in limb}
    assert reached == set(range(len(body)))


def test_convert_matches_by_name_and_marks_what_the_source_lacks() -> None:
    keypoints = np.arange(28, dtype=np.float32).reshape(1, 14, 2)
    visibility = np.full((1, 14), 2)
    points, visible = convert(keypoints, visibility, LSP_14, COCO_17)
    left_wrist = COCO_17.joints.index("left_wrist")
    assert points[0, left_wrist].tolist() == keypoints[0, LSP_14.joints.index("left_wrist")].tolist()
    assert visible[0, COCO_17.joints.index("nose")] == NOT_ANNOTATED
    assert (visible[0] == 2).sum() == 12


def test_known_joint_names_give_the_known_body() -> None:
    assert from_joint_names("person", COCO_17.joints, ()) is COCO_17


def test_unknown_joint_names_give_a_body_without_sigmas() -> None:
    dog = from_joint_names("dog", ["nose", "left_paw", "right_paw"], [(0, 1), (0, 2)])
    assert dog.sigmas is None
    assert dog.mirror == (0, 2, 1)


@pytest.mark.parametrize(("joints", "limbs"), [(["a", "a"], []), (["a", "b"], [(0, 2)])])
def test_impossible_bodies_are_refused(joints: list[str], limbs: list[tuple[int, int]]) -> None:
    with pytest.raises(AnnotationError):
        from_joint_names("odd", joints, limbs)


def test_pairs_may_be_given_and_a_side_alone_is_no_pair() -> None:
    crab = from_joint_names("crab", ["port", "starboard", "left_eye"], mirror_pairs=((0, 1),))
    assert crab.mirror == (1, 0, 2)
    assert crab.sides == ("left", "right", "middle")


def test_joints_are_matched_whatever_their_spelling() -> None:
    body = from_joint_names("odd", ["RWrist", "tail", "LWrist"])
    assert dict(body.positions_in(COCO_17)) == {0: 10, 2: 9}
    coco = [joint.replace("left_", "L ").replace("right_", "R ") for joint in COCO_17.joints]
    assert from_joint_names("person", coco) is COCO_17


def test_missing_sigmas_are_assumed_aloud() -> None:
    body = from_joint_names("odd", ["LWrist", "tail"])
    with pytest.warns(RsnWarning, match="'odd' has no sigmas.*COCO's for 1 joint.*0.05 for tail"):
        assert with_sigmas(body).sigmas == (0.062, DEFAULT_SIGMA)
    assert with_sigmas(COCO_17) is COCO_17


def test_a_card_keeps_a_body_of_ones_own_and_reads_cards_from_before_pairs() -> None:
    body = from_joint_names(
        "crab", ["port", "starboard"], [(0, 1)], mirror_pairs=((0, 1),), sigmas=[0.1, 0.2]
    )
    metadata = Card("rsn18", skeleton=body).to_metadata()
    assert Card.from_metadata(metadata).skeleton == body
    (key, text), = metadata.items()  # fmt: skip
    old = text.replace(', "mirror_pairs": [[0, 1]]', "")
    assert old != text
    assert Card.from_metadata({key: old}).skeleton.mirror == (0, 1)
