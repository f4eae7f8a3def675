"""What a body is: its joints, which of them mirror each other, how they are joined, how precisely people mark them.

A number that belongs to a body stands here and nowhere else. Joints are matched between bodies by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rsn.errors import AnnotationError, UnknownNameError

NOT_ANNOTATED = -1  # visibility of a joint that the data set does not know (0 absent, 1 occluded, 2 visible)


@dataclass(frozen=True)
class Skeleton:
    """A body.

    joints: names in the order of keypoints and heatmaps; left_X and right_X mirror each other.
    limbs: pairs of joint indices to draw.
    upper_body: joint indices of the upper half, for the half-body augmentation.
    sigmas: per-joint spread of human annotators as a fraction of the object's scale (COCO's OKS); None where
        nobody has measured them, and then OKS cannot be computed.
    """

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    upper_body: frozenset[int]
    sigmas: tuple[float, ...] | None = None

    def __len__(self) -> int:
        return len(self.joints)

    @cached_property
    def mirror(self) -> tuple[int, ...]:
        """For each joint the index of its mirror image (itself on the body's axis)."""
        return tuple(self.joints.index(_other_side(joint, self.joints)) for joint in self.joints)

    def positions_in(self, other: "Skeleton") -> list[tuple[int, int]]:
        """Pairs (index here, index in `other`) of the joints that both bodies have, by name."""
        return [
            (i, other.joints.index(joint)) for i, joint in enumerate(self.joints) if joint in other.joints
        ]


def convert(
    keypoints: NDArray[np.float32], visibility: NDArray[np.int64], source: Skeleton, target: Skeleton
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Joints of one body as joints of another, by name.

    keypoints (N, K, 2) and visibility (N, K) in `source` order -> the same in `target` order. Joints that
    `source` lacks get visibility `NOT_ANNOTATED` and position 0.
    """
    if source.joints == target.joints:
        return keypoints, visibility
    people = len(keypoints)
    points = np.zeros((people, len(target), 2), np.float32)
    visible = np.full((people, len(target)), NOT_ANNOTATED, np.int64)
    for here, there in source.positions_in(target):
        points[:, there] = keypoints[:, here]
        visible[:, there] = visibility[:, here]
    return points, visible


def from_joint_names(name: str, joints: Sequence[str], limbs: Sequence[tuple[int, int]]) -> Skeleton:
    """A body read from a file: one of ours where the joint names agree, otherwise a new one without sigmas.

    Raises:
        AnnotationError: names that repeat, or limbs that point at joints which are not there.
    """
    for known in (COCO_17, MPII_16, LSP_14):
        if known.joints == tuple(joints):
            return known
    if len(set(joints)) != len(joints):
        raise AnnotationError(f"skeleton {name!r}: joint names repeat; each joint needs a name of its own")
    if any(not 0 <= joint < len(joints) for limb in limbs for joint in limb):
        raise AnnotationError(
            f"skeleton {name!r}: a limb names a joint beyond the {len(joints)} that are listed"
        )
    legs = ("hip", "knee", "ankle", "foot", "toe", "heel")
    upper = frozenset(i for i, joint in enumerate(joints) if not any(leg in joint for leg in legs))
    return Skeleton(name, tuple(joints), tuple(limbs), upper)


def _other_side(joint: str, joints: tuple[str, ...]) -> str:
    for side, other in (("left", "right"), ("right", "left")):
        if joint.startswith(side) and joint.replace(side, other, 1) in joints:
            return joint.replace(side, other, 1)
    return joint


COCO_17 = Skeleton(
    name="coco_17",
    joints=(
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
    joints=(
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
    joints=(
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist",
        "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top",
    ),
    limbs=(
        (0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (6, 7), (7, 8), (9, 10), (10, 11), (8, 12), (9, 12), (12, 13),
        (2, 8), (3, 9),
    ),
    upper_body=frozenset((2, 3, *range(6, 14))),
)  # fmt: skip

_KNOWN = {body.name: body for body in (COCO_17, MPII_16, LSP_14)}


def by_name(name: str) -> Skeleton:
    """A body of this module by its name: coco_17, mpii_16 or lsp_14.

    Raises:
        UnknownNameError: no body of that name; the message has the nearest ones.
    """
    if name not in _KNOWN:
        raise UnknownNameError("skeleton", name, _KNOWN)
    return _KNOWN[name]
