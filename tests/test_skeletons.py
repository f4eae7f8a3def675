"""Skeletons: flip pairs, and keypoints matched by name."""

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
def test_flip_is_its_own_inverse_and_swaps_sides(skeleton: Skeleton) -> None:
    for keypoint, other in enumerate(skeleton.flip_indices):
        assert skeleton.flip_indices[other] == keypoint
        assert skeleton.keypoint_names[keypoint].startswith(("left", "right")) == (other != keypoint)


def test_flip_pairs_are_those_of_the_references() -> None:
    coco = {tuple(sorted((a, b))) for a, b in enumerate(COCO_17.flip_indices) if a != b}
    mpii = {tuple(sorted((a, b))) for a, b in enumerate(MPII_16.flip_indices) if a != b}
    assert coco == {(a, a + 1) for a in range(1, 17, 2)}
    assert mpii == {(0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)}


@pytest.mark.parametrize("skeleton", SKELETONS, ids=lambda skeleton: skeleton.name)
def test_limbs_connect_every_keypoint(skeleton: Skeleton) -> None:
    reached = {keypoint for limb in skeleton.limbs for keypoint in limb}
    assert reached == set(range(len(skeleton)))


def test_convert_matches_by_name_and_marks_what_the_source_lacks() -> None:
    keypoints = np.arange(28, dtype=np.float32).reshape(1, 14, 2)
    visibility = np.full((1, 14), 2)
    points, visible = remap_keypoints(keypoints, visibility, LSP_14, COCO_17)
    left_wrist = COCO_17.keypoint_names.index("left_wrist")
    assert points[0, left_wrist].tolist() == keypoints[0, LSP_14.keypoint_names.index("left_wrist")].tolist()
    assert visible[0, COCO_17.keypoint_names.index("nose")] == NOT_ANNOTATED
    assert (visible[0] == 2).sum() == 12


def test_known_keypoint_names_give_the_known_skeleton() -> None:
    assert Skeleton.from_names("person", COCO_17.keypoint_names, ()) is COCO_17


def test_unknown_keypoint_names_give_a_skeleton_without_sigmas() -> None:
    dog = Skeleton.from_names("dog", ["nose", "left_paw", "right_paw"], [(0, 1), (0, 2)])
    assert dog.sigmas is None
    assert dog.flip_indices == (0, 2, 1)


@pytest.mark.parametrize(("keypoints", "limbs"), [(["a", "a"], []), (["a", "b"], [(0, 2)])])
def test_impossible_skeletons_are_refused(keypoints: list[str], limbs: list[tuple[int, int]]) -> None:
    with pytest.raises(AnnotationError):
        Skeleton.from_names("odd", keypoints, limbs)


def test_pairs_may_be_given_and_a_side_alone_is_no_pair() -> None:
    crab = Skeleton.from_names("crab", ["port", "starboard", "left_eye"], flip_pairs=((0, 1),))
    assert crab.flip_indices == (1, 0, 2)
    assert crab.sides == ("left", "right", "middle")


def test_keypoints_are_matched_whatever_their_spelling() -> None:
    skeleton = Skeleton.from_names("odd", ["RWrist", "tail", "LWrist"])
    assert dict(skeleton.common_keypoints(COCO_17)) == {0: 10, 2: 9}
    coco = [keypoint.replace("left_", "L ").replace("right_", "R ") for keypoint in COCO_17.keypoint_names]
    assert Skeleton.from_names("person", coco) is COCO_17


def test_missing_sigmas_are_assumed_aloud() -> None:
    skeleton = Skeleton.from_names("odd", ["LWrist", "tail"])
    with pytest.warns(RsnWarning, match="'odd' has no sigmas.*COCO's for 1 keypoint.*0.05 for tail"):
        assert assume_sigmas(skeleton).sigmas == (0.062, DEFAULT_SIGMA)
    assert assume_sigmas(COCO_17) is COCO_17


def test_a_metadata_keeps_a_skeleton_of_ones_own_and_reads_metadata_from_before_pairs() -> None:
    skeleton = Skeleton.from_names(
        "crab", ["port", "starboard"], [(0, 1)], flip_pairs=((0, 1),), sigmas=[0.1, 0.2]
    )
    metadata = ModelMetadata("rsn18", skeleton=skeleton).to_metadata()
    assert parse_metadata(metadata).skeleton == skeleton
    (key, text), = metadata.items()  # fmt: skip
    old = text.replace(', "flip_pairs": [[0, 1]]', "")
    assert old != text
    assert parse_metadata({key: old}).skeleton.flip_indices == (0, 1)
