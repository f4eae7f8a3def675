"""Interpret single values of annotation files (ids, numbers, sizes, boxes, areas) as different tools write them."""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsn.keypoint_names import normalize_unicode

Id = int | str

AREA_PER_BOX = 0.53  # median of area / box area of COCO's people with a segmentation
MIN_BOX_SIZE = 1.0  # pixels of width and height; a smaller box is an error, or a fraction of the image
# COCO's people have 0.026 to 0.99 times the area of their box. Far outside of that, the unit is another one.
AREA_LIMITS = (0.001, 2.0)

_WHOLE_NUMBER = re.compile(r"(-?\d{1,19})|(\d{1,19})\.0", re.ASCII)
_WORDS = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}


def normalize_id(value: Any) -> Id | None:
    """An id in the form in which ids are compared; None if it is neither a number nor a text.

    139, 139.0, "139" and "000000000139" are the same id, and so are texts that differ in their Unicode composition.
    """
    if isinstance(value, float) and math.isfinite(value):
        return int(value) if value.is_integer() else str(value)
    if isinstance(value, str):
        text = normalize_unicode(value.strip())
        number = _WHOLE_NUMBER.fullmatch(text)
        return int(number[1] or number[2]) if number else text
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def display_id(value: Any) -> Id | None:
    """An id as it is shown and written: texts unchanged, whole numbers without a fraction."""
    normalized = normalize_id(value)
    return value if isinstance(value, str) and normalized is not None else normalized


def parse_number(value: Any) -> float:
    """A number, or a text that contains one, as a float; NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def parse_numbers(value: Any) -> list[float] | None:
    """A flat list of finite numbers from a list, a list of lists, or texts; None if anything is not a number."""
    if not isinstance(value, list | tuple):
        return None
    try:
        if math.isfinite(sum(value)):  # faster than checking each of them
            return list(value)
    except (TypeError, OverflowError):
        pass
    flat = [one for entry in value for one in (entry if isinstance(entry, list | tuple) else [entry])]
    numbers = [parse_number(one) for one in flat]
    return numbers if all(map(math.isfinite, numbers)) else None


def is_crowd(value: Any) -> bool | None:
    """The meaning of an `iscrowd`, which may be a number, a text or a word; None if it has none."""
    if isinstance(value, str):
        value = _WORDS.get(value.strip().lower(), value)
    if value is None or isinstance(value, bool):
        return bool(value)
    number = normalize_id(value)
    return bool(number) if isinstance(number, int) else None


def image_size(entry: Any) -> tuple[float, float] | None:
    """(width, height) in pixels of an entry of `images`; None if it has no valid size."""
    if not isinstance(entry, dict):
        return None
    width, height = parse_number(entry.get("width")), parse_number(entry.get("height"))
    return (width, height) if 0 < width < math.inf and 0 < height < math.inf else None


def is_empty_box(box: Any) -> bool:
    """Whether a `bbox` is missing, or its width or height is less than a pixel; False for anything but a box."""
    if box is None or box == []:
        return True
    if not isinstance(box, list | tuple) or len(box) != 4:
        return False
    return parse_number(box[2]) < MIN_BOX_SIZE or parse_number(box[3]) < MIN_BOX_SIZE


def is_outside(box: Sequence[float], size: tuple[float, float] | None) -> bool:
    """Whether a box x, y, width, height is outside an image of (width, height); False if the size is unknown."""
    if size is None:
        return False
    x, y, width, height = box
    return x >= size[0] or y >= size[1] or x + width <= 0 or y + height <= 0


def within_first_pixel(points: NDArray[np.float64]) -> bool:
    """Whether points (N, 2 or more) are fractions of the image instead of pixels: at least two, all up to 1."""
    return len(points) > 1 and bool((np.abs(points[:, :2]) <= 1).all()) and bool(points[:, :2].any())


def usable_area(area: Any, box: Any) -> float | None:
    """The area of a person in square pixels; None if it is invalid.

    Invalid are anything but a number above 1, and an area that does not fit the box x, y, width, height, such as a
    fraction of the image.
    """
    value = parse_number(area)
    if not 1 < value < math.inf:
        return None
    if is_empty_box(box) or not isinstance(box, list | tuple) or len(box) != 4:
        return value
    box_area = parse_number(box[2]) * parse_number(box[3])
    least, most = AREA_LIMITS
    return None if value < least * box_area or value > most * box_area else value
