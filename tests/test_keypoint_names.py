"""Left and right are found in every spelling of a keypoint name, and only there."""

import unicodedata

import pytest

from rsn.errors import AnnotationError
from rsn.keypoint_names import normalize_name, normalize_names
from rsn.skeletons import COCO_17, LSP_14, MPII_16, Skeleton


@pytest.mark.parametrize(
    "name",
    [
        "left_wrist", "l_wrist", "wrist.L", "LWrist", "lWrist", "Left Wrist", "leftWrist", "leftwrist", "wrist-left",
        "LEFT_WRIST", "LEFTWRIST", "Leftwrist", "wristLeft", "wristleft", "lwrist", "Lwrist", "lwri", "LWri", "l.wrst",
        "L-WRIST",
    ],
)  # fmt: skip
def test_normalize_name_maps_every_spelling_to_one_name(name: str) -> None:
    assert normalize_name(name) == "left_wrist"


@pytest.mark.parametrize("name", ["nose", "neck", "lip", "rear", "l", "cleft", "level_1", "upright", "rib", "left"])
def test_normalize_name_finds_no_side_in_other_names(name: str) -> None:
    assert normalize_name(name) == name
    assert Skeleton.from_names("custom", [name, "other"]).sides == ("middle", "middle")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("front_left_paw", "front_right_paw"), ("hand_left_thumb", "hand_right_thumb"),
        ("forelimb_L_elbow", "forelimb_R_elbow"), ("Lwrist", "Rwrist"), ("FL", "FR"), ("RL", "RR"), ("LF", "RF"),
        ("FLpaw", "FRpaw"), ("paw_FL", "paw_FR"), ("PawHL2", "PawHR2"), ("lear", "rear"), ("earl", "earr"),
        ("left", "right"), ("L", "R"), ("antennaL", "antennaR"), ("WINGLEFT", "WINGRIGHT"), ("tibia_lt", "tibia_rt"),
        ("kp 3 (left)", "kp 3 (right)"), ("left_eye_right_corner", "right_eye_left_corner"), ("左肩", "右肩"),
        ("main gauche", "main droite"), ("Mano izquierda", "Mano derecha"), ("L_Fpaw", "R_Fpaw"), ("l_eye", "RightEye"),
        ("leftPinnaBase", "rightPinnaBase"), ("e\N{COMBINING ACUTE ACCENT}_l", "é_r"),
    ],
)  # fmt: skip
def test_counterparts_are_found_wherever_the_side_is(left: str, right: str) -> None:
    assert Skeleton.from_names("custom", ["nose", right, "tail", left]).flip_pairs == ((3, 1),)
    assert Skeleton.from_names("custom", [left, right]).unpaired == ()


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["FL", "FR", "RL", "RR"], ((0, 1), (2, 3))),
        (["LF", "LR", "RF", "RR"], ((0, 2), (1, 3))),
        (["LL", "LR", "RL", "RR"], ()),  # each could be the counterpart of two
        (["eye_l_in", "eye_r_in", "eye_l_out", "eye_r_out"], ((0, 1), (2, 3))),
        (
            ["left_eye_left", "left_eye_right", "right_eye_left", "right_eye_right"],
            ((0, 3), (1, 2)),
        ),
        (["nose", "lip", "rear", "tail", "liver", "ring"], ()),
    ],
)
def test_ambiguous_names_have_no_counterpart(names: list[str], pairs: tuple[tuple[int, int], ...]) -> None:
    assert Skeleton.from_names("custom", names).flip_pairs == pairs


def test_given_pairs_are_ordered_left_first() -> None:
    skeleton = Skeleton.from_names(
        "custom", ["right_fin", "left_fin", "port", "starboard"], flip_pairs=((0, 1), (2, 3))
    )
    assert skeleton.flip_pairs == ((1, 0), (2, 3))
    assert skeleton.sides == ("right", "left", "left", "right")


def test_unpaired_lists_sides_without_counterpart() -> None:
    skeleton = Skeleton.from_names("custom", ["nose", "left_hand", "right_hand", "left_foot", "hoof.R", "lkne", "rear"])
    assert skeleton.unpaired == ("left_foot", "hoof.R", "lkne")
    given = Skeleton.from_names("custom", ["left_hand", "right_foot"], flip_pairs=((0, 1),))
    assert given.unpaired == ()


@pytest.mark.parametrize(
    "spelled",
    [
        lambda name: name.replace("left_", "l").replace("right_", "r"),
        lambda name: name.replace("_", " "),
        lambda name: "".join(word.capitalize() for word in name.split("_")),
        lambda name: "_".join(reversed(name.split("_"))).upper(),
        lambda name: name.replace("_", ""),
        lambda name: name.replace("left_", "L").replace("right_", "R").replace("shoulder", "Sho").replace("knee", "kne")
        .replace("elbow", "elb").replace("ankle", "ank").replace("wrist", "wri"),
    ],
)  # fmt: skip
def test_coco_keypoints_are_known_in_every_spelling(spelled: object) -> None:
    assert callable(spelled)
    assert Skeleton.from_names("person", [spelled(name) for name in COCO_17.keypoint_names]) is COCO_17


def test_names_match_in_every_unicode_form() -> None:
    composed = Skeleton.from_names("custom", ["épaule_l", "épaule_r", "nez"])
    apart = Skeleton.from_names(
        "custom", [unicodedata.normalize("NFD", name) for name in ("nez", "épaule_l", "épaule_r")]
    )
    assert apart.permutation_to(composed) == (1, 2, 0)
    with pytest.raises(AnnotationError, match="keypoint names repeat"):
        Skeleton.from_names("custom", ["é", "e\N{COMBINING ACUTE ACCENT}"])


def test_permutation_to_needs_the_same_keypoints() -> None:
    backwards = Skeleton.from_names("backwards", COCO_17.keypoint_names[::-1])
    assert backwards.permutation_to(COCO_17) == tuple(range(16, -1, -1))
    assert COCO_17.permutation_to(COCO_17) == tuple(range(17))
    assert MPII_16.permutation_to(COCO_17) is None
    assert Skeleton.from_names("a", ["nose", "tail"]).permutation_to(Skeleton.from_names("b", ["nose", "ear"])) is None
    assert Skeleton.from_names("a", ["headtop"]).permutation_to(Skeleton.from_names("b", ["head_top"])) == (0,)


def test_normalize_names_keeps_names_distinct() -> None:
    assert normalize_names(["lwing", "rwing", "left_wing", "tail"]) == (
        "lwing",
        "right_wing",
        "left_wing",
        "tail",
    )


def test_predefined_skeletons_have_normalized_names() -> None:
    for skeleton in (COCO_17, MPII_16, LSP_14):
        assert skeleton.normalized_names == skeleton.keypoint_names
        assert skeleton.unpaired == ()


@pytest.mark.parametrize(
    ("names", "pairs", "unpaired"),
    [
        ("L_Eye R_Eye Nose L_F_Paw R_F_Paw L_B_Paw R_B_Paw", 3, ()),  # AP-10K
        ("head wingL wingR forelegL4 forelegR4 midlegL4 midlegR4", 3, ()),  # flies in SLEAP
        ("snout leftear rightear left_ear_tip right_ear_tip tailbase", 2, ()),  # mice in DeepLabCut
        ("HeadF SpineL SpineF ElbowL ElbowR HandL HandR", 2, ("SpineL",)),  # Rat 7M; SpineL has no SpineR
        ("Nose Nearfrontfoot Offfrontfoot Nearknee Offknee", 2, ()),  # Horse-10
        ("hip rhip rkne rank lhip lkne lank spine neck lsho rsho lear rear", 5, ()),  # Panoptic, Human3.6M
        ("Nose Neck MidHip RBigToe LBigToe RHeel LHeel REar LEar", 3, ()),  # OpenPose
        ("upper_arm.L upper_arm.R mixamorig:LeftArm mixamorig:RightArm", 2, ()),  # rigs
        ("front_left_light front_right_light wheel_RL wheel_RR flipL flipR", 3, ()),
    ],
)
def test_counterparts_in_names_of_real_datasets(names: str, pairs: int, unpaired: tuple[str, ...]) -> None:
    skeleton = Skeleton.from_names("custom", names.split())
    assert len(skeleton.flip_pairs) == pairs
    assert skeleton.unpaired == unpaired
