"""Skeletons: the names of keypoints, limbs, left and right, and how precisely people mark each keypoint.

All that belongs to a skeleton is defined here and nowhere else. Keypoints of two skeletons are matched by name.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from rsn.errors import AnnotationError, RsnWarning, UnknownNameError
from rsn.io.validation import read_mapping, validated
from rsn.keypoint_names import counterparts, normalize_names, says_side

# Visibility of a keypoint that a dataset does not annotate; the others are 0 absent, 1 occluded, 2 visible.
NOT_ANNOTATED = -1
DEFAULT_SIGMA = 0.05  # COCO's keypoints of the face have 0.025 to 0.035, those of the limbs 0.062 to 0.107

Side = Literal["left", "middle", "right"]
Pairs = tuple[tuple[int, int], ...]

_LEG_WORDS = ("hip", "thigh", "knee", "shin", "calf", "leg", "ankle", "foot", "toe", "heel")


@dataclass(frozen=True)
class Skeleton:
    """A skeleton.

    keypoint_names: in the order of keypoints and heatmaps.
    limbs: pairs of keypoint indices to draw a line between.
    upper_body: keypoint indices of the upper half, for the half-body augmentation.
    sigmas: spread of the annotators for each keypoint, as a fraction of the square root of the person's area (COCO's
        OKS); None if unknown, see `assume_sigmas`.
    flip_pairs: (left, right) keypoint indices. By default they are derived from the names, such as left_wrist and
        right_wrist, LWrist and RWrist, or FL and FR (see `rsn.keypoint_names`).

    Raises:
        AnnotationError: no keypoints, repeated names, an index that does not exist, a keypoint in two flip pairs, or
            sigmas that are not one positive number per keypoint.
    """

    name: str
    keypoint_names: tuple[str, ...]
    limbs: Pairs
    upper_body: frozenset[int]
    sigmas: tuple[float, ...] | None = None
    flip_pairs: Pairs = None  # type: ignore[assignment]  # set in __post_init__

    @classmethod
    def from_names(
        cls,
        name: str,
        keypoint_names: Sequence[str],
        limbs: Iterable[tuple[int, int]] = (),
        *,
        upper_body: frozenset[int] | None = None,
        sigmas: Sequence[float] | None = None,
        flip_pairs: Pairs | None = None,
    ) -> "Skeleton":
        """Create a skeleton, or return a predefined one if only its keypoint names are given.

        upper_body: by default the keypoints whose names contain no word for a part of the leg.

        Raises:
            AnnotationError: as `Skeleton`.
        """
        names = normalize_names(keypoint_names)
        if upper_body is None and sigmas is None and flip_pairs is None:
            for known in SKELETONS.values():
                if known.keypoint_names == names:
                    return known
        if upper_body is None:
            upper_body = frozenset(
                index for index, word in enumerate(names) if not any(leg in word for leg in _LEG_WORDS)
            )
        return cls(
            name,
            tuple(keypoint_names),
            tuple(limbs),
            upper_body,
            None if sigmas is None else tuple(sigmas),
            flip_pairs,  # type: ignore[arg-type]
        )

    @classmethod
    def from_file(cls, path: Path) -> "Skeleton":
        """Read a skeleton from a YAML file (see `SkeletonFile`).

        Raises:
            AnnotationError: the file is missing or not YAML, has an unknown key or keypoint, or sigmas for only some
                of the keypoints.
        """
        document = read_mapping(path, what="a skeleton file", error=AnnotationError)
        given = validated(SkeletonFile, document, path=path, error=AnnotationError)
        names = given.keypoints
        with _errors_in(str(path)):
            missing = [name for name in names if name not in given.sigmas]
            if given.sigmas and missing:
                raise AnnotationError(
                    f"Invalid sigmas: expected one for every keypoint, or none, got none for {', '.join(missing)}"
                )
            _indices("sigmas", given.sigmas, names)  # every name exists
            upper_body = None
            if given.upper_body is not None:
                upper_body = frozenset(_indices("upper_body", given.upper_body, names))
            flip_pairs = None if given.flip_pairs is None else _pairs("flip_pairs", given.flip_pairs, names)
            return cls.from_names(
                given.name,
                names,
                _pairs("limbs", given.limbs, names),
                upper_body=upper_body,
                sigmas=[given.sigmas[name] for name in names] if given.sigmas else None,
                flip_pairs=flip_pairs,
            )

    @classmethod
    def from_category(cls, category: dict[str, Any], where: str, remarks: list[str] | None = None) -> "Skeleton":
        """Create the skeleton that an entry of COCO's `categories` describes.

        Besides COCO's `keypoints` (names) and `skeleton` (limbs, counted from 1), it may have `sigmas` (one number
        per keypoint), `flip_pairs` (keypoints by name or counted from 0, as in MMPose) and `flip_idx` (for each
        keypoint the index of its counterpart, as in Ultralytics).

        where: what an error message begins with. remarks: receives a sentence if limbs are invalid or counted from 0,
            which is no error, since limbs are only drawn.

        Raises:
            AnnotationError: any other field is invalid.
        """
        name, names = str(category.get("name") or "skeleton"), category.get("keypoints")
        with _errors_in(where):
            try:
                if not isinstance(names, list) or not all(isinstance(one, str | int) for one in names):
                    raise TypeError
                keypoints = [str(one) for one in names]
                sigmas = [float(sigma) for sigma in category.get("sigmas") or ()]
                pairs = [(a, b) for a, b in category.get("flip_pairs") or ()]
                flip_idx = [int(index) for index in category.get("flip_idx") or ()]
            except (TypeError, ValueError, OverflowError):
                raise AnnotationError(
                    f"Invalid category {category.get('name')!r}: expected a list of keypoint names as keypoints, pairs"
                    " as flip_pairs, numbers as sigmas and flip_idx"
                ) from None
            flip_pairs = _pairs("flip_pairs", pairs, keypoints) or _pairs_of_flip_idx(flip_idx, len(keypoints))
            limbs, remark = _read_limbs(category.get("skeleton"), keypoints)
            if remark and remarks is not None:
                remarks.append(f"category {name!r}: {remark}")
            return cls.from_names(name, keypoints, limbs, sigmas=sigmas or None, flip_pairs=flip_pairs or None)

    def __post_init__(self) -> None:
        count = len(self.keypoint_names)
        if not count:
            raise AnnotationError(f"skeleton {self.name!r} has no keypoints")
        first: dict[str, str] = {}
        for name, normalized in zip(self.keypoint_names, self.normalized_names, strict=True):
            if normalized in first:
                self._fail(f"keypoint names repeat ({first[normalized]}, {name}); give every keypoint its own name")
            first[normalized] = name
        object.__setattr__(self, "flip_pairs", self._left_right_pairs(self.flip_pairs))
        flipped = [index for pair in self.flip_pairs for index in pair]
        limbs = [index for limb in self.limbs for index in limb]
        for field_name, indices in (
            ("limbs", limbs),
            ("flip_pairs", flipped),
            ("upper_body", self.upper_body),
        ):
            outside = [index for index in indices if not 0 <= index < count]
            if outside:
                self._fail(f"Invalid {field_name}: expected keypoints 0 to {count - 1}, got {outside[0]}")
        if len(set(flipped)) < len(flipped):
            self._fail("Invalid flip_pairs: a keypoint is in two pairs, or twice in one")
        sigmas = self.sigmas
        if sigmas is not None and not (len(sigmas) == count and all(0 < sigma < np.inf for sigma in sigmas)):
            self._fail(
                f"Invalid sigmas: expected {count} positive numbers, one per keypoint, got {shortened(list(sigmas))}"
            )

    def _fail(self, problem: str) -> None:
        raise AnnotationError(f"skeleton {self.name!r}: {problem}")

    def _left_right_pairs(self, pairs: Pairs | None) -> Pairs:
        """The given pairs in the order (left, right) as far as names tell, or those that the names tell."""
        if pairs is None:
            return tuple((left, right) for left, right, _ in counterparts(self.keypoint_names))
        left, right = (
            {index for index, name in enumerate(self.normalized_names) if name.startswith(side)}
            for side in ("left_", "right_")
        )
        return tuple((b, a) if a in right or b in left else (a, b) for a, b in pairs)

    def __len__(self) -> int:
        return len(self.keypoint_names)

    @cached_property
    def normalized_names(self) -> tuple[str, ...]:
        """The names in one spelling, by which skeletons are compared: LWrist is left_wrist."""
        return normalize_names(self.keypoint_names)

    @cached_property
    def unpaired(self) -> tuple[str, ...]:
        """The keypoints whose names say left or right, but that are in no flip pair."""
        paired = {index for pair in self.flip_pairs for index in pair}
        return tuple(name for index, name in enumerate(self.keypoint_names) if index not in paired and says_side(name))

    @cached_property
    def flip_indices(self) -> tuple[int, ...]:
        """For each keypoint the index of its counterpart in a flipped image; its own index if it has none."""
        indices = list(range(len(self)))
        for left, right in self.flip_pairs:
            indices[left], indices[right] = right, left
        return tuple(indices)

    @cached_property
    def sides(self) -> tuple[Side, ...]:
        """For each keypoint the person's own side."""
        sides: list[Side] = ["middle"] * len(self)
        for left, right in self.flip_pairs:
            sides[left], sides[right] = "left", "right"
        return tuple(sides)

    def common_keypoints(self, other: "Skeleton") -> list[tuple[int, int]]:
        """Pairs (index here, index in `other`) of the keypoints that both skeletons have, by name."""
        # Without underscores, since head_top and headtop are one keypoint.
        indices = {name.replace("_", ""): index for index, name in enumerate(other.normalized_names)}
        plain = [name.replace("_", "") for name in self.normalized_names]
        return [(index, indices[name]) for index, name in enumerate(plain) if name in indices]

    def permutation_to(self, other: "Skeleton") -> tuple[int, ...] | None:
        """For each keypoint of `other` its index here; None if the two do not have the same keypoints."""
        indices = {there: here for here, there in self.common_keypoints(other)}
        if not len(self) == len(other) == len(indices):
            return None
        return tuple(indices[there] for there in range(len(other)))


@dataclass(frozen=True)
class SkeletonFile:
    """The content of a skeleton file. Keypoints are always given by name.

    keypoints: in the order of the keypoints in the annotations.
    limbs: pairs of keypoints to draw a line between.
    flip_pairs: (left, right) pairs; only needed where the names do not say left and right.
    upper_body: keypoints of the upper half; by default those whose names contain no word for a part of the leg.
    sigmas: spread of the annotators by keypoint, see `Skeleton`; without them, OKS and AP use assumed ones.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    name: str
    keypoints: tuple[str, ...]
    limbs: tuple[tuple[str, str], ...] = ()
    flip_pairs: tuple[tuple[str, str], ...] | None = None
    upper_body: tuple[str, ...] | None = None
    sigmas: dict[str, float] = field(default_factory=dict)


@contextmanager
def _errors_in(where: str) -> Iterator[None]:
    """Name the source in front of AnnotationErrors."""
    try:
        yield
    except AnnotationError as error:
        raise AnnotationError(f"{where}: {error}") from None


def _indices(setting: str, given: Iterable[str | int], names: Sequence[str]) -> list[int]:
    """Indices of keypoints that are named or counted from 0."""
    indices = []
    for one in given:
        if isinstance(one, str) and one not in names:
            nearest = get_close_matches(one, names, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(names)}"
            raise AnnotationError(f"{setting}: there is no keypoint {one!r}; {hint}")
        indices.append(one if isinstance(one, int) else names.index(one))
    return indices


def _pairs(setting: str, given: Iterable[tuple[str | int, str | int]], names: Sequence[str]) -> Pairs:
    return tuple((a, b) for a, b in (_indices(setting, pair, names) for pair in given))


def _pairs_of_flip_idx(order: Sequence[int], count: int) -> Pairs:
    """The pairs of keypoints that Ultralytics' flip_idx exchanges."""
    if order and (sorted(order) != list(range(count)) or any(order[order[index]] != index for index in range(count))):
        raise AnnotationError(
            f"Invalid flip_idx: expected the index of the counterpart of each of the {count} keypoints, from 0, got"
            f" {shortened(list(order))}"
        )
    return tuple((index, other) for index, other in enumerate(order) if index < other)


def _read_limbs(listed: Any, names: Sequence[str]) -> tuple[Pairs, str]:
    """The valid limbs of a category, by name or counted from 1 (from 0 if there is a 0), and a remark on the others."""
    if not listed:
        return (), ""
    limbs = [_read_limb(limb, names) for limb in listed] if isinstance(listed, list) else [None]
    ends = {end for limb in limbs if limb is not None for end in limb}
    from_0 = 0 in ends and max(ends) < len(names)
    first = 0 if from_0 else 1
    valid = tuple(
        (limb[0] - first, limb[1] - first)
        for limb in limbs
        if limb is not None and min(limb) >= first and max(limb) < len(names) + first
    )
    if len(valid) < len(limbs):
        return valid, (
            f"{len(limbs) - len(valid)} of {len(limbs)} limbs are not drawn; its skeleton needs pairs of its"
            f" {len(names)} keypoints, by name or counted from 1"
        )
    return valid, "its skeleton counts keypoints from 0, COCO's counts from 1" if from_0 else ""


def _read_limb(limb: Any, names: Sequence[str]) -> tuple[int, int] | None:
    """Two keypoints, where named ones are counted from 1; None if the limb is not a pair of keypoints."""
    try:
        a, b = (names.index(end) + 1 if end in names else int(end) for end in limb)
    except (TypeError, ValueError, OverflowError):
        return None
    return a, b


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

SKELETONS = {skeleton.name: skeleton for skeleton in (COCO_17, MPII_16, LSP_14)}


def find_skeleton(name: str) -> Skeleton:
    """The predefined skeleton with this name: coco_17, mpii_16 or lsp_14.

    Raises:
        UnknownNameError: there is none; the message names similar ones.
    """
    if name not in SKELETONS:
        raise UnknownNameError("skeleton", name, SKELETONS)
    return SKELETONS[name]
