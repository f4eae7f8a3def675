"""Find swapped labels of left and right from the keypoints alone. The results are suspicions, not proof."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsn.skeletons import Skeleton

MIN_SCORE = 0.12  # |facing score| above which a pair clearly faces the camera or away from it
MIN_PEOPLE = 20  # for a statement about a whole dataset

_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_FACE = ("nose", "left_eye", "right_eye")


def facing_scores(skeleton: Skeleton, keypoints: ArrayLike, marked: ArrayLike) -> NDArray[np.float64]:
    """For each pair of `skeleton.flip_pairs`: above 0 if it faces the camera, below 0 if it faces away.

    The left of a person who faces the camera is on the right in the image. The score is the distance of the two
    keypoints across the line from the hips to the shoulders, in units of its length, so that it is also valid for a
    person who lies down or does a handstand.

    keypoints: (N, K, 2) pixels. marked: (N, K). Returns (N, pairs); NaN if the pair, a hip or a shoulder is not
    marked, or if the skeleton has no hips and shoulders.
    """
    points, known = np.asarray(keypoints, np.float64), np.asarray(marked, bool)
    scores = np.full((len(points), len(skeleton.flip_pairs)), np.nan)
    trunk = _find(skeleton, _TRUNK)
    if trunk is None:
        return scores
    up = points[:, trunk[:2]].mean(1) - points[:, trunk[2:]].mean(1)
    length = np.linalg.norm(up, axis=1)
    valid = known[:, trunk].all(1) & (length > 0)
    for number, (left, right) in enumerate(skeleton.flip_pairs):
        use = valid & known[:, left] & known[:, right]
        apart = points[use, left] - points[use, right]
        scores[use, number] = (up[use, 0] * apart[:, 1] - up[use, 1] * apart[:, 0]) / length[use] ** 2
    return scores


def find_swapped_people(skeleton: Skeleton, keypoints: ArrayLike, visibility: ArrayLike) -> NDArray[np.bool_]:
    """The people whose keypoints contradict each other, (N,).

    Either shoulders and hips clearly face opposite ways, or both face away although nose and both eyes are visible.
    People who twist, or look back over a shoulder, are among them: about 1 in 100 of COCO's 7,428 people. If left and
    right are swapped in all of them, 95 of 100 are found of those with visible face, hips and shoulders.

    keypoints: (N, K, 2) pixels. visibility: (N, K).
    """
    directions, trunk = _directions(skeleton, keypoints, visibility), _trunk_pairs(skeleton)
    if trunk is None:
        return np.zeros(len(directions), bool)
    shoulders, hips = directions[:, trunk].T
    away = (shoulders == -1) & (hips == -1) & _face_visible(skeleton, visibility)
    return np.asarray((shoulders * hips == -1) | away)


def find_swapped_names(skeleton: Skeleton, keypoints: ArrayLike, visibility: ArrayLike) -> list[str]:
    """Sentences about swaps in a whole dataset: of single pairs, or of left and right as the viewer's sides.

    A pair is swapped if, in most people, it faces another way than most pairs of the same person. All pairs are
    swapped if shoulders and hips face away in most people whose nose and eyes are visible.

    keypoints: (N, K, 2) pixels. visibility: (N, K).
    """
    directions = _directions(skeleton, keypoints, visibility)
    sentences = []
    for number, (left, right) in enumerate(skeleton.flip_pairs):
        others = np.sign(directions.sum(1) - directions[:, number])
        valid = (directions[:, number] != 0) & (others != 0)
        against = (directions[valid, number] != others[valid]).sum()
        if valid.sum() >= MIN_PEOPLE and against > valid.sum() / 2:
            names = f"{skeleton.keypoint_names[left]} and {skeleton.keypoint_names[right]}"
            sentences.append(
                f"{names} look swapped: they contradict the other pairs in {against} of {valid.sum()} people"
            )
    trunk = _trunk_pairs(skeleton)
    if trunk is not None:
        facing = directions[:, trunk].sum(1)
        valid = _face_visible(skeleton, visibility) & (facing != 0)
        away = (facing[valid] < 0).sum()
        if valid.sum() >= MIN_PEOPLE and away > valid.sum() / 2:
            sentences.append(
                f"left and right look like the viewer's, not the person's: {away} of {valid.sum()} people whose face is"
                " visible would have their back to the camera"
            )
    return sentences


def _directions(skeleton: Skeleton, keypoints: ArrayLike, visibility: ArrayLike) -> NDArray[np.float64]:
    """1 for pairs that clearly face the camera, -1 for those that face away, else 0: (N, pairs)."""
    scores = np.nan_to_num(facing_scores(skeleton, keypoints, np.asarray(visibility) > 0))
    return np.where(np.abs(scores) > MIN_SCORE, np.sign(scores), 0)


def _find(skeleton: Skeleton, names: tuple[str, ...]) -> list[int] | None:
    """Indices of keypoints by normalized name; None if the skeleton lacks one."""
    known = skeleton.normalized_names
    return [known.index(name) for name in names] if set(names) <= set(known) else None


def _trunk_pairs(skeleton: Skeleton) -> list[int] | None:
    """Indices in `flip_pairs` of the shoulders and the hips; None if the skeleton lacks one."""
    trunk = _find(skeleton, _TRUNK)
    if trunk is None:
        return None
    pairs = [(trunk[0], trunk[1]), (trunk[2], trunk[3])]
    return [skeleton.flip_pairs.index(pair) for pair in pairs] if set(pairs) <= set(skeleton.flip_pairs) else None


def _face_visible(skeleton: Skeleton, visibility: ArrayLike) -> NDArray[np.bool_]:
    visible, face = np.asarray(visibility) == 2, _find(skeleton, _FACE)
    return np.zeros(len(visible), bool) if face is None else np.asarray(visible[:, face].all(1))
