"""Bodies described by people: in a short YAML file, or in the `categories` of a COCO-keypoints file."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar

from rsn.errors import AnnotationError
from rsn.extras import require
from rsn.skeletons import Pairs, Skeleton, from_joint_names


@dataclass(frozen=True)
class SkeletonFile:
    """What a skeleton file holds. Joints are named everywhere; nothing is counted.

    joints: in the order of the keypoints in the annotations.
    limbs: pairs of joints to draw.
    mirror: pairs (left, right) of joints; only needed where the names do not say left and right.
    upper_body: joints of the upper half; by default those whose names do not speak of legs.
    sigmas: for each joint how far annotators stray, as a fraction of the square root of the person's area (COCO's
        OKS); without, OKS and AP use assumed ones.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[str, str], ...] = ()
    mirror: tuple[tuple[str, str], ...] | None = None
    upper_body: tuple[str, ...] | None = None
    sigmas: dict[str, float] = field(default_factory=dict)


def read_skeleton(path: Path) -> Skeleton:
    """Read a body from a YAML file (see `SkeletonFile`).

    Raises:
        AnnotationError: no such file, not YAML, settings or joints that do not exist; a sigma for some joints only.
        DeviceError: pydantic is not installed.
    """
    require("pydantic", extra="train", for_what="reading a skeleton file")
    from rsn.typed_yaml import read_mapping, validated

    document = read_mapping(path, what="a skeleton file", error=AnnotationError)
    known = {setting.name: setting.name for setting in fields(SkeletonFile)}
    given = validated(SkeletonFile, document, path=path, known=known, error=AnnotationError)
    unmeasured = [joint for joint in given.joints if joint not in given.sigmas]
    if given.sigmas and unmeasured:
        raise AnnotationError(
            f"{path}: sigmas: none for {', '.join(unmeasured)}; give one to each joint, or to none"
        )
    places = _Places(given.joints, str(path))
    sigmas = dict(zip(places.of("sigmas", given.sigmas), given.sigmas.values(), strict=True))
    upper = given.upper_body
    return _located(
        str(path),
        given.name,
        given.joints,
        limbs=places.of_pairs("limbs", given.limbs),
        upper_body=None if upper is None else frozenset(places.of("upper_body", upper)),
        sigmas=[sigmas[place] for place in range(len(given.joints))] if sigmas else None,
        mirror_pairs=None if given.mirror is None else places.of_pairs("mirror", given.mirror),
    )


def from_category(category: dict[str, Any], where: str) -> Skeleton:
    """The body of an entry of COCO `categories`.

    Besides COCO's `keypoints` (names) and `skeleton` (limbs, counted from 1) two fields that others add are read:
    `sigmas` (one number a joint) and `flip_pairs` (left and right joints, by name or counted from 0, as in MMPose).

    Raises:
        AnnotationError: any of them that cannot be; the sentence begins with `where`.
    """
    try:
        joints = [str(joint) for joint in category["keypoints"]]
        limbs = tuple((int(a) - 1, int(b) - 1) for a, b in category.get("skeleton") or ())
        sigmas = [float(sigma) for sigma in category.get("sigmas") or ()]
        flips = [(a, b) for a, b in category.get("flip_pairs") or ()]
    except (TypeError, ValueError, OverflowError):
        raise AnnotationError(
            f"{where}: category {category.get('name')!r} needs joint names as keypoints, pairs of numbers as skeleton"
            " and flip_pairs, and numbers as sigmas"
        ) from None
    places = _Places(joints, where)
    mirror = tuple((places.one("flip_pairs", a), places.one("flip_pairs", b)) for a, b in flips)
    return _located(
        where,
        str(category.get("name", "body")),
        joints,
        limbs=limbs,
        sigmas=sigmas or None,
        mirror_pairs=mirror or None,
    )


def _located(where: str, name: str, joints: Sequence[str], limbs: Pairs, **others: Any) -> Skeleton:
    try:
        return from_joint_names(name, joints, limbs, **others)
    except AnnotationError as error:
        raise AnnotationError(f"{where}: {error}") from None


@dataclass(frozen=True)
class _Places:
    """Where joints stand in the order of a body; a name that does not exist is told with the nearest."""

    joints: Sequence[str]
    where: str

    def one(self, setting: str, joint: str | int) -> int:
        """The index of a joint that is named, or counted from 0."""
        if isinstance(joint, int):
            return joint
        if joint not in self.joints:
            nearest = get_close_matches(joint, self.joints, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(self.joints)}"
            raise AnnotationError(f"{self.where}: {setting}: there is no joint {joint!r}; {hint}")
        return self.joints.index(joint)

    def of(self, setting: str, joints: Sequence[str] | dict[str, float]) -> list[int]:
        return [self.one(setting, joint) for joint in joints]

    def of_pairs(self, setting: str, pairs: Sequence[tuple[str, str]]) -> Pairs:
        return tuple((self.one(setting, a), self.one(setting, b)) for a, b in pairs)
