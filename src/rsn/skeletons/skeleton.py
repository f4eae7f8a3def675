"""The skeleton, and its forms in files: YAML, and the categories of COCO files."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, ClassVar, Literal

import numpy as np

from rsn.errors import AnnotationError
from rsn.io.validation import read_mapping, validated
from rsn.keypoint_names import counterparts, normalize_names, says_side

Side = Literal["left", "middle", "right"]
Pairs = tuple[tuple[int, int], ...]

SKELETONS: dict[str, "Skeleton"] = {}  # the predefined ones by name, filled by rsn.skeletons.predefined

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

    def order_of(self, other: "Skeleton") -> tuple[int, ...] | None:
        """For each keypoint of `other` its index here; None if one is missing here."""
        indices = {there: here for here, there in self.common_keypoints(other)}
        return tuple(indices[there] for there in range(len(other))) if len(indices) == len(other) else None

    def permutation_to(self, other: "Skeleton") -> tuple[int, ...] | None:
        """For each keypoint of `other` its index here; None if the two do not have the same keypoints."""
        return self.order_of(other) if len(self) == len(other) else None


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
