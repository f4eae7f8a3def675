"""Skeletons described by people: in a short YAML file, or in the `categories` of a COCO-keypoints file."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, ClassVar

from rsn.errors import AnnotationError
from rsn.io.validation import read_mapping, validated
from rsn.skeletons import Pairs, Skeleton, skeleton_from_names


@dataclass(frozen=True)
class SkeletonFile:
    """What a skeleton file holds. Keypoints are named everywhere; nothing is counted.

    keypoints: in the order of the keypoints in the annotations.
    limbs: pairs of keypoints to draw.
    flip: pairs (left, right) of keypoints; only needed where the names do not say left and right.
    upper_body: keypoints of the upper half; by default those whose names do not speak of legs.
    sigmas: for each keypoint how far annotators stray, as a fraction of the square root of the person's area (COCO's
        OKS); without, OKS and AP use assumed ones.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    name: str
    keypoints: tuple[str, ...]
    limbs: tuple[tuple[str, str], ...] = ()
    flip: tuple[tuple[str, str], ...] | None = None
    upper_body: tuple[str, ...] | None = None
    sigmas: dict[str, float] = field(default_factory=dict)


def read_skeleton(path: Path) -> Skeleton:
    """Read a skeleton from a YAML file (see `SkeletonFile`).

    Raises:
        AnnotationError: no such file, not YAML, settings or keypoints that do not exist; a sigma for some keypoints only.
    """
    document = read_mapping(path, what="a skeleton file", error=AnnotationError)
    given = validated(SkeletonFile, document, path=path, error=AnnotationError)
    unmeasured = [keypoint for keypoint in given.keypoints if keypoint not in given.sigmas]
    if given.sigmas and unmeasured:
        raise AnnotationError(
            f"{path}: sigmas: none for {', '.join(unmeasured)}; give one to each keypoint, or to none"
        )
    places, upper, flip = _Places(given.keypoints, str(path)), given.upper_body, given.flip
    places.of("sigmas", given.sigmas)  # all of them exist
    return _located(
        str(path),
        given.name,
        given.keypoints,
        limbs=places.of_pairs("limbs", given.limbs),
        upper_body=None if upper is None else frozenset(places.of("upper_body", upper)),
        sigmas=[given.sigmas[keypoint] for keypoint in given.keypoints] if given.sigmas else None,
        flip_pairs=None if flip is None else places.of_pairs("flip", flip),
    )


def skeleton_from_category(
    category: dict[str, Any], where: str, remarks: list[str] | None = None
) -> Skeleton:
    """The skeleton of an entry of COCO `categories`.

    Besides COCO's `keypoints` (names) and `skeleton` (limbs, counted from 1) three fields that others add are read:
    `sigmas` (one number a keypoint), `flip_pairs` (left and right keypoints, by name or counted from 0, as in MMPose)
    and `flip_idx` (for each keypoint the index of its counterpart, as in Ultralytics).

    Limbs are only for drawing: where some of them cannot be, or are counted from 0, `remarks` gets a sentence.

    Raises:
        AnnotationError: any of the others that cannot be; the sentence begins with `where`.
    """
    names = category.get("keypoints")
    try:
        if not isinstance(names, list) or not all(isinstance(name, str | int) for name in names):
            raise TypeError
        keypoints = [str(name) for name in names]
        sigmas = [float(sigma) for sigma in category.get("sigmas") or ()]
        flips = [(a, b) for a, b in category.get("flip_pairs") or ()]
        order = [int(other) for other in category.get("flip_idx") or ()]
    except (TypeError, ValueError, OverflowError):
        raise AnnotationError(
            f"{where}: category {category.get('name')!r} needs a list of keypoint names as keypoints, pairs as flip_pairs,"
            " and numbers as sigmas and flip_idx"
        ) from None
    places = _Places(keypoints, where)
    flip = places.of_pairs("flip_pairs", flips)
    name = str(category.get("name") or "skeleton")
    limbs, said = _limbs_of(category.get("skeleton"), keypoints)
    if said and remarks is not None:
        remarks.append(f"category {name!r}: {said}")
    return _located(
        where,
        name,
        keypoints,
        limbs=limbs,
        sigmas=sigmas or None,
        flip_pairs=flip or _pairs_in(order, len(keypoints), where) or None,
    )


def _limbs_of(listed: Any, keypoints: Sequence[str]) -> tuple[Pairs, str]:
    """The limbs that a category lists, by name or counted from 1 or, where there is a 0, from 0; and what is odd."""
    if not listed:
        return (), ""
    limbs = [_limb(limb, keypoints) for limb in listed] if isinstance(listed, list) else [None]
    ends = {end for limb in limbs if limb is not None for end in limb}
    from_0 = 0 in ends and max(ends) < len(keypoints)
    shift = 0 if from_0 else 1
    kept = tuple(
        (a - shift, b - shift)
        for a, b in filter(None, limbs)
        if min(a, b) >= shift and max(a, b) < len(keypoints) + shift
    )
    said = "its skeleton counts keypoints from 0 and is read so; COCO's counts from 1" if from_0 else ""
    if len(kept) < len(limbs):
        said = (
            f"{len(limbs) - len(kept)} of {len(limbs)} limbs are not drawn; its skeleton needs pairs of its"
            f" {len(keypoints)} keypoints, by name or counted from 1"
        )
    return kept, said


def _limb(limb: Any, keypoints: Sequence[str]) -> tuple[int, int] | None:
    """Two keypoints, counted from 1 where they are named; None for what is no pair of them."""
    try:
        a, b = (keypoints.index(end) + 1 if end in keypoints else int(end) for end in limb)
    except (TypeError, ValueError, OverflowError):
        return None
    return a, b


def _pairs_in(order: Sequence[int], count: int, where: str) -> Pairs:
    """The pairs that change places in an order of keypoints, such as Ultralytics' flip_idx."""
    if order and (
        sorted(order) != list(range(count)) or any(order[order[place]] != place for place in range(count))
    ):
        raise AnnotationError(
            f"{where}: flip_idx needs for each of the {count} keypoints the index of its counterpart, counted from 0, not"
            f" {shortened(list(order))}"
        )
    return tuple((place, other) for place, other in enumerate(order) if place < other)


def _located(where: str, name: str, keypoints: Sequence[str], limbs: Pairs, **others: Any) -> Skeleton:
    try:
        return skeleton_from_names(name, keypoints, limbs, **others)
    except AnnotationError as error:
        raise AnnotationError(f"{where}: {error}") from None


@dataclass(frozen=True)
class _Places:
    """Where keypoints stand in the order of a skeleton; a name that does not exist is told with the nearest."""

    keypoints: Sequence[str]
    where: str

    def one(self, setting: str, keypoint: str | int) -> int:
        """The index of a keypoint that is named, or counted from 0."""
        if isinstance(keypoint, int):
            return keypoint
        if keypoint not in self.keypoints:
            nearest = get_close_matches(keypoint, self.keypoints, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(self.keypoints)}"
            raise AnnotationError(f"{self.where}: {setting}: there is no keypoint {keypoint!r}; {hint}")
        return self.keypoints.index(keypoint)

    def of(self, setting: str, keypoints: Iterable[str]) -> list[int]:
        return [self.one(setting, keypoint) for keypoint in keypoints]

    def of_pairs(self, setting: str, pairs: Iterable[tuple[str | int, str | int]]) -> Pairs:
        return tuple((self.one(setting, a), self.one(setting, b)) for a, b in pairs)
