"""Which boxes, areas and image sizes of an annotation file can be right; those that cannot are derived."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

AREA_OF_BOX = 0.53  # median share of its box that a person covers, among those of COCO with an outline
SMALLEST_BOX = 1.0  # pixels, width and height: less is a mistake, or a share of the image instead of pixels
# Of COCO's people the area is 0.026 to 0.99 of the box. Far beyond that it is counted in another unit.
AREA_LIMITS = (0.001, 2.0)


def number(value: Any) -> float:
    """A plain number, or a text that spells one; NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def numbers(value: Any) -> list[float] | None:
    """A flat list of finite numbers from one, from a list of lists, or from texts; None where one is none."""
    if not isinstance(value, list | tuple):
        return None
    try:
        # What is not finite makes the sum so, which is quicker than a look at each; very large numbers may, too.
        if math.isfinite(sum(value)):
            return list(value)
    except (TypeError, OverflowError):
        pass
    flat = [one for entry in value for one in (entry if isinstance(entry, list | tuple) else [entry])]
    plain = [number(one) for one in flat]
    return plain if all(map(math.isfinite, plain)) else None


def image_size(entry: Any) -> tuple[float, float] | None:
    """(width, height) in pixels that an entry of `images` tells; None where it does not tell a possible one."""
    if not isinstance(entry, dict):
        return None
    width, height = number(entry.get("width")), number(entry.get("height"))
    return (width, height) if 0 < width < math.inf and 0 < height < math.inf else None


def is_empty_box(box: Any) -> bool:
    """Whether a `bbox` is missing, or x, y, width, height that enclose less than a pixel.

    One with something else in it than numbers is not empty but wrong.
    """
    if box is None or box == []:
        return True
    if not isinstance(box, list | tuple) or len(box) != 4:
        return False
    return bool(number(box[2]) < SMALLEST_BOX or number(box[3]) < SMALLEST_BOX)


def is_outside(box: Sequence[float], size: tuple[float, float] | None) -> bool:
    """Whether a box x, y, width, height lies outside an image of (width, height); False where that is not known."""
    if size is None:
        return False
    x, y, width, height = box
    return x >= size[0] or y >= size[1] or x + width <= 0 or y + height <= 0


def within_first_pixel(points: NDArray[np.float64]) -> bool:
    """Whether points (N, 2 or more) must be shares of the image and no pixels: two or more, all within one pixel."""
    return len(points) > 1 and bool((np.abs(points[:, :2]) <= 1).all()) and bool(points[:, :2].any())


def usable_area(area: Any, box: Any) -> float | None:
    """The area in square pixels of somebody with such a box x, y, width, height; None where it cannot be right.

    It cannot be 0, negative, no number, at most one pixel, or far from the box's own area, as one that is told as a
    share of the image is.
    """
    told = number(area)
    if not 1 < told < math.inf:
        return None
    if is_empty_box(box) or not isinstance(box, list | tuple) or len(box) != 4:
        return told
    from_box = number(box[2]) * number(box[3])
    least, most = AREA_LIMITS
    return None if told < least * from_box or told > most * from_box else told
