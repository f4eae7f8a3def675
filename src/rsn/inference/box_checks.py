"""Boxes that callers, files and detectors give: which of them can be used in an image."""

from collections import Counter
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rsn.data.values import MIN_BOX_SIZE
from rsn.errors import AnnotationError
from rsn.geometry import FloatArray
from rsn.results import Person, PoseResult

Boxes = tuple[FloatArray, FloatArray]  # (N, 4) x, y, width, height in image pixels, and scores (N,)
BoxFormat = Literal["xywh", "xyxy"]

NOT_FINITE = "with a number that is not finite"
TOO_SMALL = "less than a pixel wide or high"
OUTSIDE = "outside the image"
FAR_OUTSIDE = 0.1  # share of a box outside the image from which it is reported: maybe the boxes of a larger image
MISFIT = 0.5  # share of a box outside the image from which the other box format is tried
PIXELS = "boxes are in pixels of the image at its full size, not in fractions of it"

_adding = Lock()


@dataclass
class BoxNotes:
    """What is reported about boxes that a file gives.

    usable: number of boxes that are used. skipped: number of boxes that are not, by reason. far_outside: number of
    used boxes that reach far outside the image.
    """

    usable: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    far_outside: int = 0

    def add(self, other: "BoxNotes") -> None:
        """Count those of another image, too; any number of threads may call it."""
        with _adding:
            self.usable += other.usable
            self.skipped.update(other.skipped)
            self.far_outside += other.far_outside

    def check(self, name: str) -> None:
        """Raise an AnnotationError where there are boxes and none can be used; `name`: of the image or video."""
        if self.skipped and not self.usable:
            raise AnnotationError(f"{name}: none of its boxes can be used; {self.sentence()}")

    def sentence(self) -> str:
        """All of it in one sentence; empty where there is nothing to report."""
        parts = [f"left out: {reasons(self.skipped)}"] if self.skipped else []
        parts += [f"{self.far_outside} reach far beyond the image"] if self.far_outside else []
        if self.far_outside or self.skipped[TOO_SMALL] or self.skipped[OUTSIDE]:
            parts.append("boxes are x, y, width, height in pixels of the image at its full size")
        return f"boxes{' ' if self.skipped else ': '}{'; '.join(parts)}" if parts else ""


def reasons(skipped: Counter[str]) -> str:
    """How many boxes were left out for which reason."""
    return ", ".join(f"{count} {reason}" for reason, count in skipped.items())


def usable_boxes(boxes: FloatArray, scores: FloatArray, size: tuple[int, int]) -> tuple[NDArray[np.bool_], BoxNotes]:
    """Which boxes (N, 4) x, y, width, height with scores (N,) can be used in an image of (height, width): (N,)."""
    finite = np.isfinite(boxes).all(1) & np.isfinite(scores)
    plain = np.where(finite[:, None], boxes, 0.0)
    small = finite & (plain[:, 2:] < MIN_BOX_SIZE).any(1)
    inside = _share_inside(plain, size)
    outside = finite & ~small & (inside <= 0)
    usable = finite & ~small & ~outside
    skipped = Counter({NOT_FINITE: int((~finite).sum()), TOO_SMALL: int(small.sum()), OUTSIDE: int(outside.sum())})
    far_outside = usable & (inside < 1 - FAR_OUTSIDE)
    return usable, BoxNotes(int(usable.sum()), +skipped, int(far_outside.sum()))


def filter_boxes(boxes: Any, scores: Any, size: tuple[int, int]) -> tuple[FloatArray, FloatArray, BoxNotes]:
    """The boxes of a file or a detector that can be used in an image of (height, width), and what is reported.

    Raises:
        AnnotationError: boxes that are not rows of four numbers, or not as many scores.
    """
    numbers = _table(boxes, "rows of x, y, width, height")
    confidences = _scores(scores, len(numbers))
    usable, notes = usable_boxes(numbers, confidences, size)
    return numbers[usable], confidences[usable], notes


def check_boxes(boxes: Any, box_scores: Any, box_format: Any, size: tuple[int, int]) -> Boxes:
    """The boxes that a caller gives for an image of (height, width), as x, y, width, height, and their scores.

    Args:
        boxes: (N, 4), "whole" for one box of the whole image, or a PoseResult whose boxes are used.
        box_scores: (N,) in [0, 1]; by default those of the PoseResult, or 1.
        box_format: of an array: "xywh" (x, y, width, height) or "xyxy" (left, top, right, bottom).

    Raises:
        AnnotationError: boxes that are none of these, lie outside the image, are less than a pixel wide or high or in
            fractions of the image, or look like the other format; scores that do not match.
    """
    height, width = size
    if box_format not in (None, "xywh", "xyxy"):
        raise AnnotationError(f"Invalid box_format: expected 'xywh' or 'xyxy', got {box_format!r:.80}")
    if isinstance(boxes, PoseResult):
        if boxes.image_size != tuple(size):
            raise AnnotationError(
                f"Invalid boxes: expected a result of an image of {width} x {height} pixels, got one of"
                f" {boxes.image_size[1]} x {boxes.image_size[0]}"
            )
        rows = np.array([person.bbox for person in boxes]).reshape(-1, 4)
        return rows, boxes.box_scores if box_scores is None else _checked_scores(box_scores, len(rows))
    if isinstance(boxes, Person):
        raise AnnotationError("Invalid boxes: expected a PoseResult or an array (N, 4), got a Person; pass result[[0]]")
    if isinstance(boxes, str):
        if boxes != "whole":
            raise AnnotationError(f"Invalid boxes: expected 'whole' or an array (N, 4), got {boxes!r:.80}")
        rows = np.array([[0.0, 0.0, width, height]])
    else:
        rows = _rows(boxes, box_format, size)
    return rows, np.ones(len(rows)) if box_scores is None else _checked_scores(box_scores, len(rows))


def _rows(boxes: Any, box_format: BoxFormat | None, size: tuple[int, int]) -> FloatArray:
    rows = _table(boxes, "an array (N, 4)")
    if not len(rows):
        return rows
    if box_format is None:
        raise AnnotationError("Invalid box_format: expected 'xywh' or 'xyxy' with an array of boxes, got None")
    if not np.isfinite(rows).all():
        raise AnnotationError("Invalid boxes: expected finite numbers, got NaN or infinity")
    if np.abs(rows).max() <= 1:
        raise AnnotationError(f"Invalid boxes: {_describe(rows[0])} looks like fractions of the image; {PIXELS}")
    converted = rows if box_format == "xywh" else _to_xywh(rows)
    other, other_format = (_to_xywh(rows), "xyxy") if box_format == "xywh" else (rows, "xywh")
    valid = (converted[:, 2:] >= MIN_BOX_SIZE).all(1)
    inside = np.where(valid, _share_inside(converted, size), 0.0)
    worst = int(inside.argmin())
    if inside[worst] < 1 - MISFIT and _fits(other, size):
        raise AnnotationError(
            f"Invalid boxes: {_describe(rows[worst])} does not fit the image of {size[1]} x {size[0]} pixels as"
            f" {box_format!r}, but all boxes do as {other_format!r}; pass box_format={other_format!r}"
        )
    if not valid.all():
        raise AnnotationError(
            f"Invalid boxes: {_describe(rows[int(valid.argmin())])} is less than a pixel wide or high as"
            f" {box_format!r}; {PIXELS}"
        )
    if inside[worst] <= 0:
        raise AnnotationError(
            f"Invalid boxes: {_describe(rows[worst])} as {box_format!r} lies outside the image of {size[1]} x {size[0]}"
            " pixels"
        )
    return converted


def _table(boxes: Any, expected: str) -> FloatArray:
    """Boxes as an array (N, 4)."""
    rows = _numbers(boxes, "boxes", expected)
    if rows.size == 0:
        return rows.reshape(0, 4)
    if rows.ndim != 2 or rows.shape[1] != 4:
        hint = "; write one box as [[a, b, c, d]]" if rows.shape == (4,) else ""
        raise AnnotationError(f"Invalid boxes: expected {expected}, got shape {rows.shape}{hint}")
    return rows


def _fits(boxes: FloatArray, size: tuple[int, int]) -> bool:
    """Whether all boxes x, y, width, height lie in an image of (height, width), up to a twentieth of a box."""
    return bool((boxes[:, 2:] >= MIN_BOX_SIZE).all() and (_share_inside(boxes, size) >= 0.95).all())


def _to_xywh(boxes: FloatArray) -> FloatArray:
    return np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])


def _share_inside(boxes: FloatArray, size: tuple[int, int]) -> FloatArray:
    """The share of each box x, y, width, height that lies in an image of (height, width): (N,)."""
    limits = np.array([size[1], size[0]])
    common = np.clip(np.minimum(boxes[:, :2] + boxes[:, 2:], limits) - np.maximum(boxes[:, :2], 0), 0, None)
    return np.asarray(common.prod(1) / np.maximum(boxes[:, 2:].prod(1), 1e-9))


def _checked_scores(scores: Any, count: int) -> FloatArray:
    values = _scores(scores, count)
    if not ((values >= 0) & (values <= 1)).all():
        raise AnnotationError("Invalid box_scores: expected numbers from 0 to 1")
    return values


def _scores(scores: Any, count: int) -> FloatArray:
    values = _numbers(scores, "box_scores", "one number per box")
    if values.shape != (count,):
        raise AnnotationError(
            f"Invalid box_scores: expected {count}, one per box, got an array of shape {values.shape}"
        )
    return values


def _numbers(values: Any, name: str, expected: str) -> FloatArray:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:  # ragged rows, names, dictionaries, tensors on a GPU
        raise AnnotationError(f"Invalid {name}: expected {expected}, got {str(values)[:80]} ({error})") from error


def _describe(box: FloatArray) -> str:
    return f"box ({', '.join(f'{value:g}' for value in box)})"
