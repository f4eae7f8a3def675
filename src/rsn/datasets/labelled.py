"""Labelled people: what every reader of a data set returns."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsn.datasets.extents import SMALLEST_BOX, is_outside
from rsn.errors import AnnotationError
from rsn.skeletons import Skeleton, convert


@dataclass(frozen=True)
class ImageFile:
    """An image of a data set.

    id: what results refer to. size: (width, height) in pixels, as the data set tells it; None where it does not.
    """

    id: int | str
    path: Path
    size: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class LabelledPerson:
    """A person with joints marked by hand.

    box: (4,) x, y, width, height in image pixels. keypoints: (K, 2) float32 image pixels. visibility: (K,) 2 visible,
    1 occluded, 0 absent, -1 not annotated in this data set. head_size: length of the head in image pixels, what PCKh
    measures in; None where the data set does not tell.
    """

    image: ImageFile
    box: NDArray[np.float64]
    keypoints: NDArray[np.float32]
    visibility: NDArray[np.int64]
    crowd: bool = False
    head_size: float | None = None


@dataclass(frozen=True, eq=False)
class PoseDataset:
    """People in images, all of one skeleton.

    left_out: counts of what filters removed, by reason. category_ids: of the categories that they are of.
    """

    skeleton: Skeleton
    people: tuple[LabelledPerson, ...]
    left_out: Counter[str] = field(default_factory=Counter)
    category_ids: tuple[int | str, ...] = (1,)

    @property
    def category_id(self) -> int | str:
        """What results about these people carry: the first of the categories."""
        return self.category_ids[0]

    def __len__(self) -> int:
        return len(self.people)

    def mapped_to(self, skeleton: Skeleton) -> "PoseDataset":
        """The same people with the joints of another skeleton, matched by name (see `skeletons.convert`).

        Raises:
            AnnotationError: the two have no joint in common.
        """
        if not self.people or self.skeleton.plain_joints == skeleton.plain_joints:
            return replace(self, skeleton=skeleton)
        if not self.skeleton.positions_in(skeleton):
            raise AnnotationError(
                f"{self.skeleton.name} ({', '.join(self.skeleton.joints)}) and {skeleton.name}"
                f" ({', '.join(skeleton.joints)}) have no joint of the same name; are these annotations of another"
                " data set?"
            )
        points, visible = convert(
            np.stack([person.keypoints for person in self.people]),
            np.stack([person.visibility for person in self.people]),
            self.skeleton,
            skeleton,
        )
        people = (
            replace(person, keypoints=keypoints, visibility=visibility)
            for person, keypoints, visibility in zip(self.people, points, visible, strict=True)
        )
        return replace(self, skeleton=skeleton, people=tuple(people))

    def with_joints(self, *, min_box_height: float = 0.0) -> "PoseDataset":
        """Those whose pose is known: no crowds, at least one joint marked, a box in the image, of some size and height.

        min_box_height: in pixels.
        """
        rules: dict[str, Callable[[LabelledPerson], bool]] = {
            "crowd": lambda person: person.crowd,
            "no joint marked": lambda person: not (person.visibility > 0).any(),
            "box of less than a pixel": lambda person: min(person.box[2:]) < SMALLEST_BOX,
            "box outside the image": lambda person: is_outside(person.box.tolist(), person.image.size),
            f"box lower than {min_box_height:g} px": lambda person: person.box[3] < min_box_height,
        }
        kept: list[LabelledPerson] = []
        left_out: Counter[str] = Counter(self.left_out)
        for person in self.people:
            reason = next((name for name, applies in rules.items() if applies(person)), None)
            if reason is None:
                kept.append(person)
            else:
                left_out[reason] += 1
        return replace(self, people=tuple(kept), left_out=left_out)

    def joined(self, other: "PoseDataset") -> "PoseDataset":
        """Both sets as one; they must have one skeleton (call `mapped_to` first)."""
        if self.skeleton.plain_joints != other.skeleton.plain_joints:
            raise ValueError(
                f"cannot join {self.skeleton.name} with {other.skeleton.name}: map one to the other"
            )
        return replace(self, people=self.people + other.people, left_out=self.left_out + other.left_out)

    def summary(self) -> str:
        """One line: how many people and images, and what was left out."""
        images = len({person.image.path for person in self.people})
        text = f"{len(self.people)} people in {images} images ({self.skeleton.name})"
        if self.left_out:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
            text += f"; left out: {reasons}"
        return text
