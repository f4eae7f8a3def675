"""A person found in an image, and the COCO results format."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsn.errors import AnnotationError, RsnError

EMPTY = 0.5  # raw score of an empty heatmap
KEYPOINT_THRESHOLD = (
    0.3  # keypoints whose score is lower are neither drawn nor tracked, unless weights say otherwise
)
SCORE_TYPE, UNIT = "score_type", "0 to 1"  # the range of a person's scores; without this entry they are raw
EVALUATED_BOX = "box"  # where entries with raw scores have the box


@dataclass(frozen=True, eq=False)
class Person:
    """One person in one image.

    box: (4,) x, y, width, height in image pixels, as it was given to the pose network.
    keypoints: (K, 2) x, y in image pixels, in the order of the skeleton's keypoints.
    raw_scores: (K,) of each keypoint as the codec defines it: 0.5 where the heatmap is empty, 1.5 at its peak of 255,
        never clipped. Evaluation and submission use these, as the references do.
    raw_score: the box score times the mean raw score (see `from_keypoints`).
    box_score: confidence of the box alone, in [0, 1].
    """

    box: NDArray[np.float64]
    keypoints: NDArray[np.float64]
    raw_scores: NDArray[np.float64]
    raw_score: float
    box_score: float = 1.0

    @property
    def scores(self) -> NDArray[np.float64]:
        """(K,) keypoint scores in [0, 1]: clip(raw - 0.5, 0, 1)."""
        return np.clip(self.raw_scores - EMPTY, 0, 1)

    @property
    def score(self) -> float:
        """The person's score in [0, 1]: the box score times the mean keypoint score."""
        return float(self.box_score * self.scores.mean())

    @classmethod
    def from_keypoints(
        cls,
        box: ArrayLike,
        keypoints: ArrayLike,
        scores: ArrayLike,
        *,
        box_score: float = 1.0,
    ) -> "Person":
        """A person whose raw score follows the reference: the box score times the mean of all raw keypoint scores.

        scores: (K,) raw.
        """
        keypoint_scores = np.asarray(scores, np.float64)
        return cls(
            box=np.asarray(box, np.float64),
            keypoints=np.asarray(keypoints, np.float64),
            raw_scores=keypoint_scores,
            raw_score=float(box_score * keypoint_scores.mean()),
            box_score=box_score,
        )

    def reordered(self, order: Sequence[int]) -> "Person":
        """The same person with its keypoints in another order; `order`: the present index of each keypoint."""
        indices = list(order)
        return replace(self, keypoints=self.keypoints[indices], raw_scores=self.raw_scores[indices])

    def to_dict(self) -> dict[str, Any]:
        """The person with the keys that all outputs of rsn share: `poses.json`, JSON Lines of videos, the service.

        keypoints: x, y, score of each keypoint in one flat list, as in COCO results; image pixels. score: the person's.
        bbox: x, y, width, height in image pixels. box_score: its score. score_type: "0 to 1", the range of all scores.
        """
        return {
            "keypoints": _rounded(np.column_stack([self.keypoints, self.scores])),
            "score": round(self.score, 6),
            "bbox": _rounded(self.box),
            "box_score": round(self.box_score, 6),
            SCORE_TYPE: UNIT,
        }

    @classmethod
    def from_dict(cls, entry: dict[str, Any]) -> "Person":
        """Read what `to_dict` wrote, or an entry of a COCO keypoint results file, whose scores are raw.

        Without a box it is the smallest one around the keypoints.

        Raises:
            AnnotationError: keypoints that are not triples of finite numbers, or no score.
        """
        try:
            entry = to_raw(entry)
            keypoints = np.asarray(entry["keypoints"], np.float64).reshape(-1, 3)
            score, box_score = float(entry["score"]), float(entry.get("box_score", 1.0))
        except (KeyError, TypeError, ValueError) as error:
            raise AnnotationError(f"not an entry of a COCO keypoint results file: {error}") from error
        if not np.isfinite(keypoints).all() or not len(keypoints):
            raise AnnotationError("a result's keypoints must be finite x, y, score triples")
        low, high = keypoints[:, :2].min(0), keypoints[:, :2].max(0)
        box = np.asarray(entry.get("bbox", entry.get(EVALUATED_BOX, [*low, *(high - low)])), np.float64)
        return cls(box, keypoints[:, :2], keypoints[:, 2], score, box_score)

    def to_coco(
        self, image_id: int | str, category_id: int | str = 1, *, raw: bool = False
    ) -> dict[str, Any]:
        """An entry of a COCO keypoint results file: `to_dict` with the image and the category.

        With `raw` the scores are the raw ones, as evaluation and submission need them, and the box is named `box`:
        COCO evaluation would take the area of a `bbox` as the person's, not that of the keypoints' extent.
        """
        named = {"image_id": image_id, "category_id": category_id}
        if not raw:
            return named | self.to_dict()
        keypoints = _rounded(np.column_stack([self.keypoints, self.raw_scores]))
        scores = {"keypoints": keypoints, "score": round(self.raw_score, 6)}
        return named | scores | {EVALUATED_BOX: _rounded(self.box)}


def check_threshold(name: str, value: float) -> None:
    """Refuse a threshold on scores that is not between 0 and 1 (RsnError)."""
    if not 0 <= value <= 1:
        raise RsnError(f"Invalid {name}: expected a number from 0 to 1, got {value:g}")


def to_raw(entry: Any) -> Any:
    """An entry of a results file with raw scores, as evaluation takes them.

    Entries of `poses.json` say `"score_type": "0 to 1"`; their keypoint scores get 0.5 added, the person's score
    becomes the box score times the mean of these, and `bbox` becomes `box`, as in `Person.to_coco`. All others, and
    what is no entry, are returned as they are.
    """
    if not isinstance(entry, dict) or entry.get(SCORE_TYPE) != UNIT:
        return entry
    try:
        keypoints = np.asarray(entry["keypoints"], np.float64).reshape(-1, 3)
        box_score = float(entry.get("box_score", 1.0))
    except (KeyError, TypeError, ValueError):
        return entry  # evaluation counts it among those that it cannot read
    raw = keypoints + np.array([0, 0, EMPTY])
    names = {"bbox": EVALUATED_BOX}
    kept = {names.get(key, key): value for key, value in entry.items() if key != SCORE_TYPE}
    return kept | {"keypoints": raw.ravel().tolist(), "score": float(box_score * raw[:, 2].mean())}


def _rounded(values: NDArray[np.float64]) -> list[float]:
    """All values in one list, to a thousandth of a pixel or of a score."""
    return [round(float(value), 3) for value in values.flat]
