"""Bytes and boxes of a request -> a scene; everything that can be wrong with them is said here."""

from typing import Annotated

import numpy as np
from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError

from rsn.crops import Image
from rsn.errors import RsnError
from rsn.image_formats import declared_size
from rsn.images import decode_image
from rsn.inference.boxes import Boxes
from rsn.serving.admission import Refused
from rsn.serving.limits import Limits

LONGEST_SIDE = 32_000  # pixels; OpenCV cuts crops out of nothing longer than 32,767
FARTHEST = 1e6  # pixels; numbers beyond it would leave no precision for the crop

_Rows = TypeAdapter(list[Annotated[list[FiniteFloat], Field(min_length=4, max_length=5)]])


def checked_size(data: bytes, limits: Limits) -> tuple[int, int]:
    """(width, height) of a picture, read before anything is unpacked.

    Raises:
        Refused: 415 for what is no picture of a kind that tells its size, 413 for too many pixels.
    """
    size = declared_size(data)
    if size is None:
        raise Refused(415, "these bytes are no JPEG, PNG, WebP, GIF or BMP picture; send one of these")
    width, height = size
    if width * height > limits.pixels or max(size) > LONGEST_SIDE:
        raise Refused(
            413,
            f"the picture has {width} x {height} pixels; scale it down to at most {limits.megapixels:g} megapixels and"
            f" {LONGEST_SIDE} pixels a side",
        )
    return size


def unpacked(data: bytes) -> Image:
    """The picture as (H, W, 3) uint8 RGB.

    Raises:
        Refused: 422 where it is broken.
    """
    try:
        return decode_image(data, "the picture")
    except RsnError as error:
        raise Refused(422, str(error)) from error


def parsed_boxes(text: str, limits: Limits) -> Boxes:
    """JSON [[x, y, width, height], [x, y, width, height, score], ...] -> boxes (N, 4) and scores (N,), 1 by default.

    Raises:
        Refused: 422 for anything else, or more boxes than the limit.
    """
    try:
        rows = _Rows.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise Refused(
            422,
            f"boxes must be JSON like [[x, y, width, height], [x, y, width, height, score]]: {first['msg']}",
        ) from error
    if len(rows) > limits.people:
        raise Refused(422, f"{len(rows)} boxes were given; give at most {limits.people}")
    table = np.array([(*row, 1.0)[:5] for row in rows], np.float64).reshape(-1, 5)
    boxes, scores = table[:, :4], table[:, 4]
    if (np.abs(boxes) > FARTHEST).any() or (boxes[:, 2:] < 1).any():
        raise Refused(422, f"boxes must be at least 1 pixel wide and high, and no number beyond {FARTHEST:g}")
    if (scores < 0).any() or (scores > 1).any():
        raise Refused(422, "scores of boxes must lie between 0 and 1")
    return boxes, scores
