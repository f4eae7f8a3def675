"""Skeletons: the names of keypoints, limbs, left and right, and how precisely people mark each keypoint.

All that belongs to a skeleton is defined here and nowhere else. Keypoints of two skeletons are matched by name.
"""

from rsn.skeletons.matching import (
    DEFAULT_SIGMA,
    NOT_ANNOTATED,
    assume_sigmas,
    copy_sigmas,
    describe_match,
    name_nearest,
    remap_keypoints,
)
from rsn.skeletons.predefined import (
    AIC_14,
    COCO_17,
    CROWDPOSE_14,
    JHMDB_15,
    LSP_14,
    MPII_16,
    WHOLEBODY_133,
    find_skeleton,
)
from rsn.skeletons.skeleton import SKELETONS, Pairs, Side, Skeleton, SkeletonFile

__all__ = [
    "AIC_14",
    "COCO_17",
    "CROWDPOSE_14",
    "DEFAULT_SIGMA",
    "JHMDB_15",
    "LSP_14",
    "MPII_16",
    "NOT_ANNOTATED",
    "SKELETONS",
    "WHOLEBODY_133",
    "Pairs",
    "Side",
    "Skeleton",
    "SkeletonFile",
    "assume_sigmas",
    "copy_sigmas",
    "describe_match",
    "find_skeleton",
    "name_nearest",
    "remap_keypoints",
]
