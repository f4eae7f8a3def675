"""Keypoints of two skeletons, matched by name."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from rsn.errors import RsnWarning
from rsn.skeletons.predefined import COCO_17
from rsn.skeletons.skeleton import Skeleton

# Visibility of a keypoint that a dataset does not annotate; the others are 0 absent, 1 occluded, 2 visible.
NOT_ANNOTATED = -1
DEFAULT_SIGMA = 0.05  # COCO's keypoints of the face have 0.025 to 0.035, those of the limbs 0.062 to 0.107


def remap_keypoints(
    keypoints: NDArray[np.float32], visibility: NDArray[np.int64], source: Skeleton, target: Skeleton
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Convert keypoints of one skeleton to another, by name.

    keypoints (N, K, 2) and visibility (N, K) in `source` order -> the same in `target` order. Keypoints that `source`
    lacks get visibility `NOT_ANNOTATED` and position 0.
    """
    if source.normalized_names == target.normalized_names:
        return keypoints, visibility
    points = np.zeros((len(keypoints), len(target), 2), np.float32)
    visible = np.full((len(keypoints), len(target)), NOT_ANNOTATED, np.int64)
    for here, there in source.common_keypoints(target):
        points[:, there] = keypoints[:, here]
        visible[:, there] = visibility[:, here]
    return points, visible


def name_nearest(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Each name, with the nearest of the known ones in brackets if one is similar: noze (nearest: nose)."""
    nearest = [get_close_matches(name, known, 1) for name in names]
    return [f"{name} (nearest: {found[0]})" if found else name for name, found in zip(names, nearest, strict=True)]


def describe_match(source: Skeleton, target: Skeleton) -> str:
    """Describe how `remap_keypoints` matches two skeletons: how many keypoints, which spellings, what is missing."""
    pairs = source.common_keypoints(target)
    names = [(source.keypoint_names[a], target.keypoint_names[b]) for a, b in pairs]
    respelled = [f"{here} is {there}" for here, there in names if here != there]
    unused = [name for name in source.keypoint_names if name not in {here for here, _ in names}]
    missing = [name for name in target.keypoint_names if name not in {there for _, there in names}]
    text = f"{len(pairs)} of the {len(target)} keypoints of {target.name} are matched by name"
    if respelled:
        more = f" and {len(respelled) - 4} more" if len(respelled) > 4 else ""
        text += f" ({', '.join(respelled[:4])}{more})"
    if unused:
        text += f"; no match for {', '.join(name_nearest(unused, target.keypoint_names))}"
    if missing:
        text += f"; not annotated, and left out of the loss: {', '.join(missing)}"
    return text


def assume_sigmas(skeleton: Skeleton) -> Skeleton:
    """The skeleton itself if it has sigmas; otherwise one with assumed sigmas, and an RsnWarning that names them.

    Keypoints that COCO has too, by name, get COCO's sigmas; all others `DEFAULT_SIGMA`, which is strict for limbs.
    """
    if skeleton.sigmas is not None:
        return skeleton
    assert COCO_17.sigmas is not None
    coco = dict(zip(COCO_17.keypoint_names, COCO_17.sigmas, strict=True))
    others = [name for name in skeleton.normalized_names if name not in coco]
    shared = len(skeleton) - len(others)
    assumed = [f"COCO's for {shared} keypoints of the same name"] if shared else []
    assumed += [f"{DEFAULT_SIGMA} for {', '.join(others)}"] if others else []
    warnings.warn(
        f"skeleton {skeleton.name!r} has no sigmas, which OKS and AP need; assumed {' and '.join(assumed)}. Set them"
        " in a skeleton file, or compare these metrics only with each other",
        RsnWarning,
        stacklevel=2,
    )
    return replace(skeleton, sigmas=tuple(coco.get(name, DEFAULT_SIGMA) for name in skeleton.normalized_names))


def copy_sigmas(skeleton: Skeleton, other: Skeleton) -> Skeleton:
    """The skeleton with the sigmas of another one, if it has none itself and both have the same keypoints."""
    order = other.permutation_to(skeleton)
    if skeleton.sigmas is not None or other.sigmas is None or order is None:
        return skeleton
    return replace(skeleton, sigmas=tuple(other.sigmas[index] for index in order))
