"""What a skeleton is: its keypoints, which of them flip each other, how they are joined, how precisely people mark them.

A number that belongs to a skeleton stands here and nowhere else. Keypoints are matched between skeletons by name.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from reprlib import repr as shortened
from typing import Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from rsn.errors import AnnotationError, RsnWarning, UnknownNameError
from rsn.keypoint_names import counterparts, normalize_names, says_side

NOT_ANNOTATED = (
    -1
)  # visibility of a keypoint that the data set does not know (0 absent, 1 occluded, 2 visible)

Side = Literal["left", "middle", "right"]
Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Skeleton:
    """A skeleton.

    keypoints: names in the order of keypoints and heatmaps.
    limbs: pairs of keypoint indices to draw.
    upper_body: keypoint indices of the upper half, for the half-body augmentation.
    sigmas: per-keypoint spread of human annotators as a fraction of the object's scale (COCO's OKS); None where
        nobody has measured them, and then OKS can only be computed `with_sigmas` that are assumed.
    flip_pairs: (left, right) keypoint indices; None where the keypoints' names tell them, as left_wrist and right_wrist,
        front_left_paw and front_right_paw, LWrist and RWrist or FL and FR do (see `keypoint_names`).

    Raises:
        AnnotationError: no keypoints, names that repeat, limbs or other keypoints which are not there, a keypoint in two pairs,
            sigmas that are not one positive number a keypoint.
    """

    name: str
    keypoint_names: tuple[str, ...]
    limbs: Pairs
    upper_body: frozenset[int]
    sigmas: tuple[float, ...] | None = None
    flip_pairs: Pairs | None = None

    def __post_init__(self) -> None:
        if not self.keypoint_names:
            raise AnnotationError(f"skeleton {self.name!r} has no keypoints")
        first: dict[str, str] = {}
        for keypoint, spelling in zip(self.keypoint_names, self.normalized_names, strict=True):
            if spelling in first:
                self._refuse(
                    f"keypoint names repeat ({first[spelling]}, {keypoint}); each keypoint needs its own name"
                )
            first[spelling] = keypoint
        flipped = [keypoint for pair in self.flip_pairs or () for keypoint in pair]
        limbs = [keypoint for limb in self.limbs for keypoint in limb]
        parts = {"a limb": limbs, "a flip pair": flipped, "the upper body": self.upper_body}
        for what, keypoint_names in parts.items():
            if any(not 0 <= keypoint < len(self) for keypoint in keypoint_names):
                self._refuse(f"{what} names a keypoint beyond the {len(self)} that are listed")
        if len(set(flipped)) < len(flipped):
            self._refuse("a keypoint stands in two flip pairs, or flips itself")
        sigmas = self.sigmas
        if sigmas is not None and (
            len(sigmas) != len(self) or not all(0 < sigma < np.inf for sigma in sigmas)
        ):
            self._refuse(
                f"sigmas must be {len(self)} positive numbers, one a keypoint, not {shortened(list(sigmas))}"
            )

    def _refuse(self, problem: str) -> NoReturn:
        raise AnnotationError(f"skeleton {self.name!r}: {problem}")

    def __len__(self) -> int:
        return len(self.keypoint_names)

    @cached_property
    def normalized_names(self) -> tuple[str, ...]:
        """The names in one spelling, by which keypoints of different skeletons are compared: LWrist is left_wrist."""
        return normalize_names(self.keypoint_names)

    @cached_property
    def pairs(self) -> Pairs:
        """(left, right) indices of the keypoints that flip each other: those given, else those that the names tell."""
        if self.flip_pairs is None:
            return tuple(pair[:2] for pair in counterparts(self.keypoint_names))
        names = self.normalized_names
        return tuple(
            (b, a) if names[a].startswith("right_") or names[b].startswith("left_") else (a, b)
            for a, b in self.flip_pairs
        )

    @cached_property
    def unpaired(self) -> tuple[str, ...]:
        """The keypoints whose names say left or right and that have no counterpart on the other side."""
        paired = {keypoint for pair in self.pairs for keypoint in pair}
        return tuple(
            keypoint
            for place, keypoint in enumerate(self.keypoint_names)
            if place not in paired and says_side(keypoint)
        )

    @cached_property
    def flip(self) -> tuple[int, ...]:
        """For each keypoint the index of its flip image (itself on the skeleton's axis)."""
        flip = list(range(len(self)))
        for left, right in self.pairs:
            flip[left], flip[right] = right, left
        return tuple(flip)

    @cached_property
    def sides(self) -> tuple[Side, ...]:
        """For each keypoint the side of the skeleton that it is on, in the person's own sense."""
        sides: list[Side] = ["middle"] * len(self)
        for left, right in self.pairs:
            sides[left], sides[right] = "left", "right"
        return tuple(sides)

    def positions_in(self, other: "Skeleton") -> list[tuple[int, int]]:
        """Pairs (index here, index in `other`) of the keypoints that both skeletons have, by name."""
        places = {_squeezed(keypoint): place for place, keypoint in enumerate(other.normalized_names)}
        shared = (
            (here, places.get(_squeezed(keypoint))) for here, keypoint in enumerate(self.normalized_names)
        )
        return [(here, there) for here, there in shared if there is not None]

    def order_in(self, other: "Skeleton") -> tuple[int, ...] | None:
        """For each keypoint of `other` its index here, where both have the same keypoints by name, in whatever order."""
        here = {there: place for place, there in self.positions_in(other)}
        if len(self) != len(other) or len(here) != len(other):
            return None
        return tuple(here[there] for there in range(len(other)))


def _squeezed(plain: str) -> str:
    """A plain name without what divides its words: head_top and headtop are one keypoint."""
    return plain.replace("_", "")


def remap_keypoints(
    keypoints: NDArray[np.float32], visibility: NDArray[np.int64], source: Skeleton, target: Skeleton
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Keypoints of one skeleton as keypoints of another, by name.

    keypoints (N, K, 2) and visibility (N, K) in `source` order -> the same in `target` order. Keypoints that
    `source` lacks get visibility `NOT_ANNOTATED` and position 0.
    """
    if source.normalized_names == target.normalized_names:
        return keypoints, visibility
    people = len(keypoints)
    points = np.zeros((people, len(target), 2), np.float32)
    visible = np.full((people, len(target)), NOT_ANNOTATED, np.int64)
    for here, there in source.positions_in(target):
        points[:, there] = keypoints[:, here]
        visible[:, there] = visibility[:, here]
    return points, visible


def matches_in_words(source: Skeleton, target: Skeleton) -> str:
    """What becomes of the keypoints of one skeleton in another, in words.

    Names are compared as `remap_keypoints` does. Told are how many match, which are spelled otherwise, and which only one skeleton
    has.
    """
    pairs = [(source.keypoint_names[a], target.keypoint_names[b]) for a, b in source.positions_in(target)]
    respelled = [f"{here} is {there}" for here, there in pairs if here != there]
    unmatched = [
        keypoint for keypoint in source.keypoint_names if keypoint not in {here for here, _ in pairs}
    ]
    lacking = [
        keypoint for keypoint in target.keypoint_names if keypoint not in {there for _, there in pairs}
    ]
    said = [f"{len(pairs)} of the {len(target)} keypoints of {target.name} are matched by name"]
    said[0] += f" ({_few(respelled)})" if respelled else ""
    said += [f"no match for its {', '.join(unmatched)}"] if unmatched else []
    said += [f"it lacks {', '.join(lacking)}, which are left out of its loss"] if lacking else []
    return "; ".join(said)


def _few(names: Sequence[str], most: int = 4) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


DEFAULT_SIGMA = (
    0.05  # between COCO's keypoints of the face (0.025 to 0.035) and those of the limbs (0.062 to 0.107)
)


def with_sigmas(skeleton: Skeleton) -> Skeleton:
    """The skeleton itself where it has sigmas; otherwise with assumed ones, and an RsnWarning that says which.

    Keypoints that COCO has too, by name, get COCO's; all others `DEFAULT_SIGMA`, which is strict for limbs.
    """
    if skeleton.sigmas is not None:
        return skeleton
    assert COCO_17.sigmas is not None
    measured = dict(zip(COCO_17.keypoint_names, COCO_17.sigmas, strict=True))
    others = [keypoint for keypoint in skeleton.normalized_names if keypoint not in measured]
    of_coco = len(skeleton) - len(others)
    assumed = [f"COCO's for {of_coco} keypoints of the same name"] if of_coco else []
    assumed += [f"{DEFAULT_SIGMA} for {', '.join(others)}"] if others else []
    warnings.warn(
        f"skeleton {skeleton.name!r} has no sigmas, which OKS and AP depend on; assumed {' and '.join(assumed)}:"
        " give your own in a skeleton file, or compare these metrics only with each other",
        RsnWarning,
        stacklevel=2,
    )
    return replace(
        skeleton,
        sigmas=tuple(measured.get(keypoint, DEFAULT_SIGMA) for keypoint in skeleton.normalized_names),
    )


def with_sigmas_of(skeleton: Skeleton, other: Skeleton) -> Skeleton:
    """A skeleton without sigmas with those of another that has the same keypoints, in whatever order; else as it is."""
    order = other.order_in(skeleton)
    if skeleton.sigmas is not None or other.sigmas is None or order is None:
        return skeleton
    return replace(skeleton, sigmas=tuple(other.sigmas[place] for place in order))


def skeleton_from_names(
    name: str,
    keypoint_names: Sequence[str],
    limbs: Sequence[tuple[int, int]] = (),
    *,
    upper_body: frozenset[int] | None = None,
    sigmas: Sequence[float] | None = None,
    flip_pairs: Pairs | None = None,
) -> Skeleton:
    """A skeleton read from a file: one of ours where the keypoint names agree and nothing else is given, or a new one.

    upper_body: by default the keypoints whose names do not speak of legs.

    Raises:
        AnnotationError: a skeleton that cannot be, see `Skeleton`.
    """
    names = normalize_names(keypoint_names)
    if upper_body is None and sigmas is None and flip_pairs is None:
        for known in (COCO_17, MPII_16, LSP_14):
            if known.keypoint_names == names:
                return known
    return Skeleton(
        name,
        tuple(keypoint_names),
        tuple((a, b) for a, b in limbs),
        upper_body=_above_the_legs(names) if upper_body is None else upper_body,
        sigmas=None if sigmas is None else tuple(sigmas),
        flip_pairs=flip_pairs,
    )


_LEGS = ("hip", "thigh", "knee", "shin", "calf", "leg", "ankle", "foot", "toe", "heel")


def _above_the_legs(names: Sequence[str]) -> frozenset[int]:
    return frozenset(
        place for place, keypoint in enumerate(names) if not any(leg in keypoint for leg in _LEGS)
    )


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

_KNOWN = {skeleton.name: skeleton for skeleton in (COCO_17, MPII_16, LSP_14)}


def by_name(name: str) -> Skeleton:
    """A skeleton of this module by its name: coco_17, mpii_16 or lsp_14.

    Raises:
        UnknownNameError: no skeleton of that name; the message has the nearest ones.
    """
    if name not in _KNOWN:
        raise UnknownNameError("skeleton", name, _KNOWN)
    return _KNOWN[name]
