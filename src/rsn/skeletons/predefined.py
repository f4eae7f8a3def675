"""The skeletons of public datasets."""

from itertools import pairwise

from rsn.errors import UnknownNameError
from rsn.skeletons.skeleton import SKELETONS, Skeleton

COCO_17 = Skeleton(
    name="coco_17",
    keypoint_names=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
        "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee",
        "right_knee", "left_ankle", "right_ankle",
    ),
    limbs=(
        (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9),
        (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
    ),
    upper_body=frozenset(range(13)),  # with the hips, as in the reference
    sigmas=(
        0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087,
        0.087, 0.089, 0.089,
    ),
)  # fmt: skip

MPII_16 = Skeleton(
    name="mpii_16",
    keypoint_names=(
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax",
        "upper_neck", "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder",
        "left_elbow", "left_wrist",
    ),
    limbs=(
        (0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (10, 11), (11, 12), (12, 7),
        (7, 13), (13, 14), (14, 15),
    ),
    upper_body=frozenset(range(7, 16)),
)  # fmt: skip

LSP_14 = Skeleton(
    name="lsp_14",
    keypoint_names=(
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist",
        "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top",
    ),
    limbs=(
        (0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (6, 7), (7, 8), (9, 10), (10, 11), (8, 12), (9, 12), (12, 13),
        (2, 8), (3, 9),
    ),
    upper_body=frozenset((2, 3, *range(6, 14))),
)  # fmt: skip

# Sigmas: crowdposetools, the dataset's evaluator.
CROWDPOSE_14 = Skeleton.from_names(
    "crowdpose_14",
    (
        "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
        "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "head", "neck",
    ),
    limbs=(
        (12, 13), (13, 0), (13, 1), (0, 2), (2, 4), (1, 3), (3, 5), (0, 6), (1, 7), (6, 7), (6, 8), (8, 10), (7, 9),
        (9, 11),
    ),
    sigmas=(
        0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089, 0.079, 0.079,
    ),
)  # fmt: skip

# Sigmas: the challenge's evaluator, whose delta is twice the sigma.
AIC_14 = Skeleton.from_names(
    "aic_14",
    (
        "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist", "right_hip",
        "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "head_top", "neck",
    ),
    limbs=(
        (12, 13), (13, 0), (13, 3), (0, 1), (1, 2), (3, 4), (4, 5), (0, 6), (3, 9), (6, 9), (6, 7), (7, 8), (9, 10),
        (10, 11),
    ),
    sigmas=(
        0.01388152, 0.01515228, 0.01057665, 0.01417709, 0.01497891, 0.01402144, 0.03909642, 0.03686941, 0.01981803,
        0.03843971, 0.03412318, 0.02415081, 0.01291456, 0.01236173,
    ),
)  # fmt: skip

# Sigmas: MMPose's, taken from COCO; PCK, the metric of the dataset, needs none.
JHMDB_15 = Skeleton.from_names(
    "jhmdb_15",
    (
        "neck", "belly", "head", "right_shoulder", "left_shoulder", "right_hip", "left_hip", "right_elbow",
        "left_elbow", "right_knee", "left_knee", "right_wrist", "left_wrist", "right_ankle", "left_ankle",
    ),
    limbs=(
        (2, 0), (0, 1), (0, 3), (0, 4), (3, 7), (7, 11), (4, 8), (8, 12), (1, 5), (1, 6), (5, 9), (9, 13), (6, 10),
        (10, 14),
    ),
    sigmas=(
        0.025, 0.107, 0.025, 0.079, 0.079, 0.107, 0.107, 0.072, 0.072, 0.087, 0.087, 0.062, 0.062, 0.089, 0.089,
    ),
)  # fmt: skip

_FEET = (
    "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip
_FOOT_SIGMAS = (0.068, 0.066, 0.066, 0.092, 0.094, 0.094)
_FACE_SIGMAS = (
    0.042, 0.043, 0.044, 0.043, 0.040, 0.035, 0.031, 0.025, 0.020, 0.023, 0.029, 0.032, 0.037, 0.038, 0.043, 0.041,
    0.045, 0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013, 0.015, 0.009, 0.007, 0.007, 0.007, 0.012,
    0.009, 0.008, 0.016, 0.010, 0.017, 0.011, 0.009, 0.011, 0.009, 0.007, 0.013, 0.008, 0.011, 0.012, 0.010, 0.034,
    0.008, 0.008, 0.009, 0.008, 0.008, 0.007, 0.010, 0.008, 0.009, 0.009, 0.009, 0.007, 0.007, 0.008, 0.011, 0.008,
    0.008, 0.008, 0.010, 0.008,
)  # fmt: skip
_HAND_SIGMAS = (
    0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024, 0.022, 0.026, 0.017, 0.021, 0.021,
    0.032, 0.020, 0.019, 0.022, 0.031,
)  # fmt: skip
# Of the 68 points of a face as 300-W numbers them: the person's left and right.
_FACE_PAIRS = (
    *((16 - index, index) for index in range(8)),  # chin and cheeks
    *((26 - index, 17 + index) for index in range(5)),  # eyebrows
    (35, 31), (34, 32),  # nose
    (45, 36), (44, 37), (43, 38), (42, 39), (47, 40), (46, 41),  # eyes
    (54, 48), (53, 49), (52, 50), (55, 59), (56, 58), (64, 60), (63, 61), (65, 67),  # mouth
)  # fmt: skip
_FACE_LINES = (range(17), range(17, 22), range(22, 27), range(27, 31), range(31, 36))
_FACE_RINGS = (range(36, 42), range(42, 48), range(48, 60), range(60, 68))
_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")


def _hand(side: str) -> tuple[str, ...]:
    return (f"{side}_hand_root", *(f"{side}_{finger}{number}" for finger in _FINGERS for number in range(1, 5)))


def _hand_limbs(root: int) -> list[tuple[int, int]]:
    """The limbs of a hand whose keypoints begin with `root`: each finger from the root to its tip."""
    fingers = [(root, *range(root + 1 + 4 * finger, root + 5 + 4 * finger)) for finger in range(len(_FINGERS))]
    return [limb for finger in fingers for limb in pairwise(finger)]


def _create_wholebody() -> Skeleton:
    """COCO-WholeBody: 17 keypoints of the body, 6 of the feet, 68 of the face, 21 of each hand.

    Sigmas: the dataset's own evaluator. Source: Jin et al., Whole-Body Human Pose Estimation in the Wild, ECCV 2020.
    """
    names = (
        *COCO_17.keypoint_names,
        *_FEET,
        *(f"face_{index}" for index in range(68)),
        *_hand("left"),
        *_hand("right"),
    )
    index = {name: number for number, name in enumerate(names)}
    face, left, right = index["face_0"], index["left_hand_root"], index["right_hand_root"]
    rings = [[*ring, ring[0]] for ring in _FACE_RINGS]
    feet = [(index[f"{name.split('_')[0]}_ankle"], index[name]) for name in _FEET]
    in_face = [(face + a, face + b) for line in (*_FACE_LINES, *rings) for a, b in pairwise(line)]
    sided = [
        (number, index[name.replace("left", "right")]) for name, number in index.items() if name.startswith("left_")
    ]
    assert COCO_17.sigmas is not None
    return Skeleton(
        "wholebody_133",
        names,
        (*COCO_17.limbs, *feet, *in_face, *_hand_limbs(left), *_hand_limbs(right)),
        COCO_17.upper_body | frozenset(range(face, len(names))),
        (*COCO_17.sigmas, *_FOOT_SIGMAS, *_FACE_SIGMAS, *_HAND_SIGMAS, *_HAND_SIGMAS),
        (*sided, *((face + a, face + b) for a, b in _FACE_PAIRS)),
    )


WHOLEBODY_133 = _create_wholebody()

SKELETONS |= {
    skeleton.name: skeleton for skeleton in (COCO_17, MPII_16, LSP_14, CROWDPOSE_14, AIC_14, JHMDB_15, WHOLEBODY_133)
}


def find_skeleton(name: str) -> Skeleton:
    """The predefined skeleton with this name, such as coco_17 or wholebody_133.

    Raises:
        UnknownNameError: there is none; the message names similar ones.
    """
    if name not in SKELETONS:
        raise UnknownNameError("skeleton", name, SKELETONS)
    return SKELETONS[name]
