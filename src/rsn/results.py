"""What an estimator returns: `PoseResult`, the persons of one image, each a `Person`; and the COCO results format."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsn.errors import AnnotationError, RsnError, UnknownNameError
from rsn.skeletons import Skeleton

if TYPE_CHECKING:
    from rsn.visualization.options import DrawOptions

FloatArray = NDArray[np.float64]

EMPTY = 0.5  # raw score of an empty heatmap
KEYPOINT_THRESHOLD = 0.3  # keypoints with lower scores are neither drawn nor tracked, unless the weights differ
SCORE_TYPE, UNIT = "score_type", "0 to 1"  # the range of a person's scores; without this entry they are raw
EVALUATED_BOX = "box"  # the key of the box in entries with raw scores
NOTEBOOK_SIDE = 1280  # pixels; longest side of the image that a notebook shows


class Keypoint(NamedTuple):
    """One keypoint: x, y in image pixels, and its score in [0, 1]."""

    x: float
    y: float
    score: float


@dataclass(frozen=True, eq=False, repr=False)
class Person:
    """One person in an image; `person["left_wrist"]` is a keypoint by its name. Coordinates are image pixels.

    bbox: (4,) x, y, width, height of the box that was given to the network; see also `box`.
    keypoints: (K, 2) x, y in the order of the skeleton.
    raw_scores: (K,) keypoint scores as the codec defines them: 0.5 for an empty heatmap, 1.5 at the peak of a target,
        not clipped. Evaluation and submission use these, as the references do. See also `scores`.
    raw_score: the box score times the mean raw score (see `from_keypoints`). See also `score`.
    box_score: confidence of the box, in [0, 1].
    skeleton: names the keypoints; None for a person read from a file that does not name them.
    track_id: the person's number in a video, the same in all frames; None where nothing was tracked.
    std: (K,) expected error of each keypoint, in pixels of the image; None where it is unknown, see `PoseResult.std`.
    """

    bbox: FloatArray
    keypoints: FloatArray
    raw_scores: FloatArray
    raw_score: float
    box_score: float = 1.0
    skeleton: Skeleton | None = None
    track_id: int | None = None
    std: FloatArray | None = None

    @classmethod
    def from_keypoints(
        cls,
        bbox: ArrayLike,
        keypoints: ArrayLike,
        raw_scores: ArrayLike,
        *,
        box_score: float = 1.0,
        skeleton: Skeleton | None = None,
    ) -> "Person":
        """A person whose raw score is that of the reference: the box score times the mean of all raw scores (K,)."""
        box, points, raw = (np.asarray(values, np.float64) for values in (bbox, keypoints, raw_scores))
        return cls(box, points, raw, float(box_score * raw.mean()), box_score, skeleton)

    def __repr__(self) -> str:
        corners = ", ".join(f"{corner:.0f}" for corner in self.box)
        return f"Person: score {self.score:.2f}, box ({corners}), {len(self.keypoints)} keypoints"

    @property
    def box(self) -> FloatArray:
        """(4,) x1, y1, x2, y2: the corners of the box."""
        return np.concatenate([self.bbox[:2], self.bbox[:2] + self.bbox[2:]])

    @property
    def scores(self) -> FloatArray:
        """(K,) keypoint scores in [0, 1]: clip(raw - 0.5, 0, 1)."""
        return np.clip(self.raw_scores - EMPTY, 0, 1)

    @property
    def score(self) -> float:
        """The person's score in [0, 1]: the box score times the mean keypoint score."""
        return float(self.box_score * self.scores.mean())

    def __getitem__(self, name: str) -> Keypoint:
        """A keypoint by its name, as the skeleton spells it.

        Raises:
            UnknownNameError: the skeleton has no keypoint of this name.
            RsnError: the person has no skeleton.
        """
        if self.skeleton is None:
            raise RsnError("this person's keypoints have no names; read it with from_dict(entry, skeleton)")
        names = self.skeleton.keypoint_names
        if name not in names:
            raise UnknownNameError("keypoint", str(name), names)
        index = names.index(name)
        x, y = self.keypoints[index].tolist()
        return Keypoint(x, y, float(self.scores[index]))

    def reordered(self, order: Sequence[int]) -> "Person":
        """The same person with its keypoints in another order; `order`: the present index of each keypoint."""
        order = list(order)
        std = None if self.std is None else self.std[order]
        return replace(self, keypoints=self.keypoints[order], raw_scores=self.raw_scores[order], std=std, skeleton=None)

    def to_dict(self) -> dict[str, Any]:
        """The person as all outputs of rsn write it: `poses.json`, JSON Lines of videos, the service.

        keypoints: x, y, score of each keypoint, one after the other. score: of the person, from these rounded scores.
        bbox: x, y, width, height. box_score: of the box. score_type: "0 to 1", the range of all scores. track_id, std
        (expected error of each keypoint in pixels): only where they are known.
        """
        scores, box_score = self.scores.round(3), round(self.box_score, 6)
        entry: dict[str, Any] = {
            "keypoints": _rounded(np.column_stack([self.keypoints, scores])),
            "score": round(float(box_score * scores.mean()), 6),
            "bbox": _rounded(self.bbox),
            "box_score": box_score,
            SCORE_TYPE: UNIT,
        }
        if self.std is not None:
            entry["std"] = _rounded(self.std)
        return entry if self.track_id is None else {"track_id": self.track_id} | entry

    @classmethod
    def from_dict(cls, entry: dict[str, Any], skeleton: Skeleton | None = None) -> "Person":
        """Read what `to_dict` wrote, or an entry of a COCO keypoint results file, whose scores are raw.

        An entry without a box gets the smallest one around the keypoints.

        Raises:
            AnnotationError: keypoints that are not triples of finite numbers, one per keypoint of the skeleton; no
                score.
        """
        try:
            raw = to_raw(entry)
            keypoints = np.asarray(raw["keypoints"], np.float64).reshape(-1, 3)
            score, box_score = float(raw["score"]), float(raw.get("box_score", 1.0))
            low, high = keypoints[:, :2].min(0), keypoints[:, :2].max(0)
            box = raw.get("bbox", raw.get(EVALUATED_BOX, [*low, *(high - low)]))
            bbox = np.asarray(box, np.float64).reshape(4)
            std = None if raw.get("std") is None else np.asarray(raw["std"], np.float64).reshape(len(keypoints))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AnnotationError(f"Invalid entry of a COCO keypoint results file: {error}") from error
        if not np.isfinite(keypoints).all():
            raise AnnotationError("Invalid keypoints: expected triples x, y, score of finite numbers")
        if std is not None and not (np.isfinite(std) & (std >= 0)).all():
            raise AnnotationError("Invalid std: expected a finite number from 0 for each keypoint")
        if skeleton is not None and len(keypoints) != len(skeleton):
            raise AnnotationError(
                f"Invalid keypoints: expected the {len(skeleton)} of {skeleton.name}, got {len(keypoints)}"
            )
        track_id = raw.get("track_id")
        return cls(bbox, keypoints[:, :2], keypoints[:, 2], score, box_score, skeleton, track_id, std)

    def to_coco(self, image_id: int | str, category_id: int | str = 1, *, raw: bool = False) -> dict[str, Any]:
        """An entry of a COCO keypoint results file: `to_dict` with the image and the category.

        With `raw` the scores are the raw ones, which evaluation and submission need, and the key of the box is `box`:
        COCO evaluation would take the area of a `bbox` as the person's area, instead of that of the keypoints' extent.
        """
        names = {"image_id": image_id, "category_id": category_id}
        if not raw:
            return names | self.to_dict()
        keypoints = _rounded(np.column_stack([self.keypoints, self.raw_scores]))
        return names | {"keypoints": keypoints, "score": round(self.raw_score, 6), EVALUATED_BOX: _rounded(self.bbox)}


@dataclass(frozen=True, eq=False, repr=False)
class PoseResult(Sequence[Person]):
    """The persons of one image, N with K keypoints each. Coordinates are image pixels.

    A sequence: `result[0]` is a `Person`; a slice, a mask (N,) or indices give a `PoseResult`.

    people: the persons.
    skeleton: names the keypoints, in their order.
    image_size: (height, width) of the image.
    image: (height, width, 3) uint8 RGB; None with `keep_image=False`.
    keypoint_threshold: keypoints with lower scores are not drawn; stored with the weights.
    """

    people: tuple[Person, ...]
    skeleton: Skeleton
    image_size: tuple[int, int]
    image: NDArray[np.uint8] | None = None
    keypoint_threshold: float = KEYPOINT_THRESHOLD

    def __repr__(self) -> str:
        height, width = self.image_size
        count = "1 person" if len(self) == 1 else f"{len(self)} persons"
        return f"PoseResult: {count}, {self.skeleton.name}, image of {width} x {height} pixels"

    def __len__(self) -> int:
        return len(self.people)

    def __iter__(self) -> Iterator[Person]:
        return iter(self.people)

    @overload
    def __getitem__(self, index: int) -> Person: ...
    @overload
    def __getitem__(self, index: slice | ArrayLike) -> "PoseResult": ...
    def __getitem__(self, index: Any) -> "Person | PoseResult":
        """One person, or a result with some of them: a slice, a mask (N,) of booleans, or indices (M,).

        Raises:
            IndexError: no such person. RsnError: the name of a keypoint.
        """
        if isinstance(index, int | np.integer):
            return self.people[index]
        if isinstance(index, str):
            raise RsnError(
                f"Invalid index: expected persons, got {index!r:.80}; a keypoint is result[0][{index!r:.80}]"
            )
        if not isinstance(index, slice):
            index = np.asarray(index)
            index = index if index.size else index.astype(np.intp)
        chosen = np.arange(len(self))[index]
        return self.with_people(self.people[number] for number in chosen)

    def with_people(self, people: "Iterator[Person] | Sequence[Person]") -> "PoseResult":
        """The same image with other persons."""
        return replace(self, people=tuple(people))

    @property
    def keypoints(self) -> FloatArray:
        """(N, K, 2) x, y."""
        return np.array([person.keypoints for person in self]).reshape(-1, len(self.skeleton), 2)

    @property
    def scores(self) -> FloatArray:
        """(N, K) keypoint scores in [0, 1]."""
        return np.array([person.scores for person in self]).reshape(-1, len(self.skeleton))

    @property
    def std(self) -> FloatArray:
        """(N, K) expected error of each keypoint: the mean distance to the labeled keypoint, in pixels of the image.

        From the spread of the heatmap and the score, calibrated on labeled people (`ModelMetadata.uncertainty`). NaN
        for weights without a calibration, and for persons that were read without it.
        """
        rows = [np.full(len(self.skeleton), np.nan) if person.std is None else person.std for person in self]
        return np.array(rows).reshape(-1, len(self.skeleton))

    @property
    def boxes(self) -> FloatArray:
        """(N, 4) x1, y1, x2, y2."""
        return np.array([person.box for person in self]).reshape(-1, 4)

    @property
    def box_scores(self) -> FloatArray:
        """(N,) confidence of the boxes, in [0, 1]."""
        return np.array([person.box_score for person in self], np.float64)

    @property
    def person_scores(self) -> FloatArray:
        """(N,) box score times mean keypoint score, in [0, 1]."""
        return np.array([person.score for person in self], np.float64)

    @property
    def track_ids(self) -> NDArray[np.int64] | None:
        """(N,) the persons' numbers in a video; None where they were not tracked."""
        ids = [person.track_id for person in self if person.track_id is not None]
        return np.array(ids, np.int64) if ids and len(ids) == len(self) else None

    def plot(self, options: "DrawOptions | None" = None, **changes: Any) -> NDArray[np.uint8]:
        """The image with the persons drawn on it, (H, W, 3) uint8 RGB.

        options, changes: a `DrawOptions`, and fields of it by name: `plot(label="score", uncertainty=True)`.

        Raises:
            RsnError: the result has no image; an option that does not exist; `uncertainty` where it is unknown.
        """
        from rsn.visualization.drawing import draw

        if self.image is None:
            raise RsnError("this result has no image; estimate with keep_image=True, or use rsn.draw(image, result)")
        return draw(self.image, self, options, **changes)

    def save(self, path: str | Path, options: "DrawOptions | None" = None, **changes: Any) -> None:
        """Write what `plot` gives as a .jpg, .png or .webp file.

        Raises:
            RsnError: as `plot`; the file cannot be written. ImageError: another suffix.
        """
        from rsn.io.images import write_image

        write_image(Path(path), self.plot(options, **changes))

    def show(self, options: "DrawOptions | None" = None, **changes: Any) -> None:
        """Open what `plot` gives in the image viewer of the desktop; a notebook shows a result by itself."""
        from PIL import Image

        Image.fromarray(self.plot(options, **changes)).show()

    def _repr_png_(self) -> bytes | None:
        """The image that a notebook shows: `plot`, scaled down to fit; None without an image."""
        from io import BytesIO

        from PIL import Image

        if self.image is None:
            return None
        shown = Image.fromarray(self.plot())
        shown.thumbnail((NOTEBOOK_SIDE, NOTEBOOK_SIDE))
        file = BytesIO()
        shown.save(file, "PNG")
        return file.getvalue()

    def to_coco(self, image_id: int | str, category_id: int | str = 1, *, raw: bool = False) -> list[dict[str, Any]]:
        """Entries of a COCO keypoint results file, see `Person.to_coco`."""
        return [person.to_coco(image_id, category_id, raw=raw) for person in self]

    def to_dict(self) -> dict[str, Any]:
        """All but the image, as JSON can hold it; each person is written as `Person.to_dict` says."""
        height, width = self.image_size
        return {
            "width": width,
            "height": height,
            "skeleton": self.skeleton.name,
            "keypoint_names": list(self.skeleton.keypoint_names),
            "limbs": [list(limb) for limb in self.skeleton.limbs],
            "keypoint_threshold": self.keypoint_threshold,
            "people": [person.to_dict() for person in self],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "PoseResult":
        """Read what `to_dict` wrote.

        Raises:
            AnnotationError: a key is missing, or has a value of another kind.
        """
        try:
            names, limbs = values["keypoint_names"], values["limbs"]
            skeleton = Skeleton.from_names(str(values["skeleton"]), names, [(int(a), int(b)) for a, b in limbs])
            size = (int(values["height"]), int(values["width"]))
            people = tuple(Person.from_dict(entry, skeleton) for entry in values["people"])
            threshold = float(values["keypoint_threshold"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AnnotationError(f"Invalid pose result: expected what to_dict writes ({error!r})") from error
        return cls(people, skeleton, size, None, threshold)

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with one row per person and the columns of the CSV file of a video.

        track_id (empty for persons who were not tracked), score, x, y, width, height of the box; NAME_x, NAME_y,
        NAME_score of each keypoint; NAME_std of each keypoint (empty where it is unknown).

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        from rsn.conversions import to_pandas

        return to_pandas(self)

    def to_supervision(self) -> Any:
        """A `supervision.KeyPoints` of the persons, with the keypoint scores and the person scores as confidences.

        Raises:
            MissingDependencyError: supervision 0.29 or newer is not installed.
        """
        from rsn.conversions import to_supervision

        return to_supervision(self)


def to_raw(entry: Any) -> Any:
    """An entry of a results file with raw scores, as evaluation takes them.

    Entries of `poses.json` have `"score_type": "0 to 1"`; their keypoint scores get 0.5 added, the person's score
    becomes the box score times the mean of these, and `bbox` becomes `box`, as in `Person.to_coco`. Everything else is
    returned as it is.
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
    others = {names.get(key, key): value for key, value in entry.items() if key != SCORE_TYPE}
    return others | {"keypoints": raw.ravel().tolist(), "score": float(box_score * raw[:, 2].mean())}


def _rounded(values: FloatArray) -> list[float]:
    """All values in one list, to a thousandth of a pixel or of a score."""
    return [round(float(value), 3) for value in values.flat]
