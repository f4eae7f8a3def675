"""A person found in an image, and the COCO results format."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsn.errors import AnnotationError


@dataclass(frozen=True, eq=False)
class Person:
    """One person in one image.

    box: (4,) x, y, width, height in image pixels, as it was given to the pose network.
    keypoints: (K, 2) x, y in image pixels, in the order of the skeleton's joints.
    scores: (K,) confidence of each joint; around 0.5 where the map is empty, above 1 now and then, never clipped.
    score: confidence of the person: the box's score times the mean joint score (see `from_joints`).
    box_score: confidence of the box alone.
    """

    box: NDArray[np.float64]
    keypoints: NDArray[np.float64]
    scores: NDArray[np.float64]
    score: float
    box_score: float = 1.0

    @classmethod
    def from_joints(
        cls,
        box: ArrayLike,
        keypoints: ArrayLike,
        scores: ArrayLike,
        *,
        box_score: float = 1.0,
        above: float | None = None,
    ) -> "Person":
        """A person scored by the reference's rule: box score times the mean of all joint scores.

        With `above`, the mean of the joint scores above it, as in MMPose, and 0 where there is none.
        """
        joint_scores = np.asarray(scores, np.float64)
        counted = joint_scores if above is None else joint_scores[joint_scores > above]
        return cls(
            box=np.asarray(box, np.float64),
            keypoints=np.asarray(keypoints, np.float64),
            scores=joint_scores,
            score=float(box_score * counted.mean()) if len(counted) else 0.0,
            box_score=box_score,
        )

    def reordered(self, order: Sequence[int]) -> "Person":
        """The same person with other places of the joints: `order` has for each of them where it is now."""
        places = list(order)
        return replace(self, keypoints=self.keypoints[places], scores=self.scores[places])

    def to_coco(self, image_id: int | str, category_id: int | str = 1) -> dict[str, Any]:
        """An entry of a COCO keypoint results file.

        The box is added as `box`, which evaluators ignore; a `bbox` would change what they count as medium and large.
        """
        joints = np.column_stack([self.keypoints, self.scores])
        return {
            "image_id": image_id,
            "category_id": category_id,
            "keypoints": [round(float(value), 3) for value in joints.flat],
            "score": round(self.score, 6),
            "box": [round(float(value), 3) for value in self.box],
        }

    @classmethod
    def from_coco(cls, entry: dict[str, Any]) -> "Person":
        """Read an entry of a COCO keypoint results file; without `box` the box is drawn around the joints.

        Raises:
            AnnotationError: keypoints that are not triples of finite numbers, or no score.
        """
        try:
            joints = np.asarray(entry["keypoints"], np.float64).reshape(-1, 3)
            score = float(entry["score"])
        except (KeyError, TypeError, ValueError) as error:
            raise AnnotationError(f"not an entry of a COCO keypoint results file: {error}") from error
        if not np.isfinite(joints).all() or not len(joints):
            raise AnnotationError("a result's keypoints must be finite x, y, score triples")
        low, high = joints[:, :2].min(0), joints[:, :2].max(0)
        box = np.asarray(entry.get("box", [*low, *(high - low)]), np.float64)
        return cls(box, joints[:, :2], joints[:, 2], score)
