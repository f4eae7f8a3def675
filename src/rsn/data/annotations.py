"""Labeled people: what every reader of a data set returns."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsn.data.box_values import SMALLEST_BOX, is_outside
from rsn.errors import AnnotationError
from rsn.skeletons import Skeleton, remap_keypoints


@dataclass(frozen=True)
class ImageFile:
    """An image of a data set.

    id: what results refer to. size: (width, height) in pixels, as the data set tells it; None where it does not.
    """

    id: int | str
    path: Path
    size: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class PersonAnnotation:
    """A person with keypoints marked by hand.

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

    skipped: counts of what filters removed, by reason. category_ids: of the categories that they are of.
    """

    skeleton: Skeleton
    people: tuple[PersonAnnotation, ...]
    skipped: Counter[str] = field(default_factory=Counter)
    category_ids: tuple[int | str, ...] = (1,)

    @property
    def category_id(self) -> int | str:
        """What results about these people carry: the first of the categories."""
        return self.category_ids[0]

    def __len__(self) -> int:
        return len(self.people)

    def remap(self, skeleton: Skeleton) -> "PoseDataset":
        """The same people with the keypoints of another skeleton, matched by name (see `skeletons.remap_keypoints`).

        Raises:
            AnnotationError: the two have no keypoint in common.
        """
        if not self.people or self.skeleton.normalized_names == skeleton.normalized_names:
            return replace(self, skeleton=skeleton)
        if not self.skeleton.positions_in(skeleton):
            raise AnnotationError(
                f"{self.skeleton.name} ({', '.join(self.skeleton.keypoint_names)}) and {skeleton.name}"
                f" ({', '.join(skeleton.keypoint_names)}) have no keypoint of the same name; are these annotations of another"
                " data set?"
            )
        points, visible = remap_keypoints(
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

    def filter_valid(self, *, min_box_height: float = 0.0) -> "PoseDataset":
        """Those whose pose is known: no crowds, at least one keypoint marked, a box in the image, of some size and height.

        min_box_height: in pixels.
        """
        rules: dict[str, Callable[[PersonAnnotation], bool]] = {
            "crowd": lambda person: person.crowd,
            "no keypoint marked": lambda person: not (person.visibility > 0).any(),
            "box of less than a pixel": lambda person: min(person.box[2:]) < SMALLEST_BOX,
            "box outside the image": lambda person: is_outside(person.box.tolist(), person.image.size),
            f"box lower than {min_box_height:g} px": lambda person: person.box[3] < min_box_height,
        }
        kept: list[PersonAnnotation] = []
        skipped: Counter[str] = Counter(self.skipped)
        for person in self.people:
            reason = next((name for name, applies in rules.items() if applies(person)), None)
            if reason is None:
                kept.append(person)
            else:
                skipped[reason] += 1
        return replace(self, people=tuple(kept), skipped=skipped)

    def concat(self, other: "PoseDataset") -> "PoseDataset":
        """Both sets as one; they must have one skeleton (call `remap` first)."""
        if self.skeleton.normalized_names != other.skeleton.normalized_names:
            raise ValueError(
                f"cannot join {self.skeleton.name} with {other.skeleton.name}: map one to the other"
            )
        return replace(self, people=self.people + other.people, skipped=self.skipped + other.skipped)

    def summary(self) -> str:
        """One line: how many people and images, and what was left out."""
        images = len({person.image.path for person in self.people})
        text = f"{len(self.people)} people in {images} images ({self.skeleton.name})"
        if self.skipped:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.skipped.items())
            text += f"; left out: {reasons}"
        return text
