"""Annotated persons: what the reader of every dataset format returns."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsn.data.values import MIN_BOX_SIZE, is_outside
from rsn.errors import AnnotationError
from rsn.skeletons import Skeleton, name_nearest, remap_keypoints


@dataclass(frozen=True)
class ImageFile:
    """An image of a dataset.

    id: as results refer to it. size: (width, height) in pixels according to the dataset; None if it has none.
    """

    id: int | str
    path: Path
    size: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class PersonAnnotation:
    """A person with annotated keypoints.

    box: (4,) x, y, width, height in image pixels. keypoints: (K, 2) float32 image pixels. visibility: (K,) 2 visible,
    1 occluded, 0 absent, -1 not annotated in this dataset. head_size: length of the head in image pixels, the unit of
    PCKh; None if the dataset has none. sampling_weight: how often the person is drawn in training, relative to others.
    """

    image: ImageFile
    box: NDArray[np.float64]
    keypoints: NDArray[np.float32]
    visibility: NDArray[np.int64]
    crowd: bool = False
    head_size: float | None = None
    sampling_weight: float = 1.0


@dataclass(frozen=True, eq=False)
class PoseDataset:
    """Annotated persons in images, all with the same skeleton.

    skipped: number of persons that were removed, by reason. category_ids: the categories of the persons.
    """

    skeleton: Skeleton
    people: tuple[PersonAnnotation, ...]
    skipped: Counter[str] = field(default_factory=Counter)
    category_ids: tuple[int | str, ...] = (1,)

    @property
    def category_id(self) -> int | str:
        """The category of results for these persons: the first one."""
        return self.category_ids[0]

    def __len__(self) -> int:
        return len(self.people)

    def remap(self, skeleton: Skeleton) -> "PoseDataset":
        """Convert the keypoints to another skeleton, matched by name (see `skeletons.remap_keypoints`).

        Raises:
            AnnotationError: the two skeletons have no keypoint in common.
        """
        if not self.people or self.skeleton.normalized_names == skeleton.normalized_names:
            return replace(self, skeleton=skeleton)
        if not self.skeleton.common_keypoints(skeleton):
            own = ", ".join(name_nearest(self.skeleton.keypoint_names, skeleton.keypoint_names))
            other = ", ".join(skeleton.keypoint_names)
            raise AnnotationError(
                f"{self.skeleton.name} ({own}) and {skeleton.name} ({other}) have no keypoint of the same name; are"
                " these annotations of another dataset?"
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
        """Keep persons with a known pose: no crowds, at least one marked keypoint, and a valid box in the image.

        min_box_height: in pixels.
        """
        reasons: dict[str, Callable[[PersonAnnotation], bool]] = {
            "crowd": lambda person: person.crowd,
            "no keypoint marked": lambda person: not (person.visibility > 0).any(),
            "box of less than a pixel": lambda person: min(person.box[2:]) < MIN_BOX_SIZE,
            "box outside the image": lambda person: is_outside(person.box.tolist(), person.image.size),
            f"box lower than {min_box_height:g} px": lambda person: person.box[3] < min_box_height,
        }
        valid: list[PersonAnnotation] = []
        skipped: Counter[str] = Counter(self.skipped)
        for person in self.people:
            reason = next((name for name, applies in reasons.items() if applies(person)), None)
            if reason is None:
                valid.append(person)
            else:
                skipped[reason] += 1
        return replace(self, people=tuple(valid), skipped=skipped)

    def with_sampling_weight(self, weight: float) -> "PoseDataset":
        """The same persons, each with this sampling weight."""
        return replace(self, people=tuple(replace(person, sampling_weight=weight) for person in self.people))

    def concat(self, other: "PoseDataset") -> "PoseDataset":
        """Join two datasets of the same skeleton.

        Raises:
            ValueError: the skeletons differ; call `remap` first.
        """
        if self.skeleton.normalized_names != other.skeleton.normalized_names:
            raise ValueError(
                f"cannot join {self.skeleton.name} with {other.skeleton.name}: remap one to the other first"
            )
        return replace(self, people=self.people + other.people, skipped=self.skipped + other.skipped)

    def summary(self) -> str:
        """One line: the number of persons and images, and what was skipped."""
        images = len({person.image.path for person in self.people})
        text = f"{len(self.people)} people in {images} images ({self.skeleton.name})"
        if self.skipped:
            text += f"; skipped: {', '.join(f'{count} {reason}' for reason, count in self.skipped.items())}"
        return text
