"""What a request brings: the image file in its body and its boxes, read within the limits; and clients that hang up."""

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect, Request

from rsn.errors import RsnError
from rsn.geometry import Image
from rsn.inference.box_checks import Boxes
from rsn.io.image_formats import declared_size
from rsn.io.images import decode_image
from rsn.serving.admission import RequestError
from rsn.serving.limits import Limits

LONGEST_SIDE = 32_000  # pixels; OpenCV cuts crops out of nothing longer than 32,767
FARTHEST = 1e6  # pixels; numbers beyond it would leave no precision for the crop
T = TypeVar("T")

_Rows = TypeAdapter(list[Annotated[list[FiniteFloat], Field(min_length=4, max_length=5)]])


async def read_image(request: Request, limits: Limits) -> bytes:
    """The body of a request, which is an image file.

    A content type is demanded since web pages of others can send a body without one, or a form, to any address that a
    browser reaches, this machine's own included.

    Raises:
        Refused: 415 for another content type, 413 for too many bytes, 408 for a body that takes too long.
        ClientDisconnect: the client hung up before the end.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if not kind.startswith("image/") and kind != "application/octet-stream":
        raise RequestError(
            415,
            f"the body must be one image file and its Content-Type image/jpeg, image/png or the like,"
            f" not {kind or 'missing'}",
        )
    _check_length(int(request.headers.get("content-length", 0)), limits)
    parts, length = [], 0
    try:
        async with asyncio.timeout(limits.seconds):
            async for part in request.stream():
                length += len(part)
                _check_length(length, limits)
                parts.append(part)
    except TimeoutError as error:
        raise RequestError(408, f"the image did not arrive within {limits.seconds:g} seconds") from error
    return b"".join(parts)


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The outcome of `work`, which is stopped when the client hangs up.

    Raises:
        ClientDisconnect: it did.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_has_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        working.cancel()
        leaving.cancel()


async def _has_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _check_length(length: int, limits: Limits) -> None:
    if length > limits.bytes:
        raise RequestError(413, f"the image has more than {limits.megabytes:g} megabytes; send a smaller one")


def checked_size(data: bytes, limits: Limits) -> tuple[int, int]:
    """(width, height) of an image, read before anything is unpacked.

    Raises:
        Refused: 415 for what is no image of a kind that tells its size, 413 for too many pixels.
    """
    size = declared_size(data)
    if size is None:
        raise RequestError(415, "these bytes are no JPEG, PNG, WebP, GIF or BMP image; send one of these")
    width, height = size
    if width * height > limits.pixels or max(size) > LONGEST_SIDE:
        raise RequestError(
            413,
            f"the image has {width} x {height} pixels; scale it down to at most {limits.megapixels:g} megapixels and"
            f" {LONGEST_SIDE} pixels a side",
        )
    return size


def unpacked(data: bytes) -> Image:
    """The image as (H, W, 3) uint8 RGB.

    Raises:
        Refused: 422 where it is broken.
    """
    try:
        return decode_image(data, "the image")
    except RsnError as error:
        raise RequestError(422, str(error)) from error


def parsed_boxes(text: str, limits: Limits) -> Boxes:
    """JSON [[x, y, width, height], [x, y, width, height, score], ...] -> boxes (N, 4) and scores (N,), 1 by default.

    Raises:
        Refused: 422 for anything else, or more boxes than the limit.
    """
    try:
        rows = _Rows.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise RequestError(
            422,
            f"boxes must be JSON like [[x, y, width, height], [x, y, width, height, score]]: {first['msg']}",
        ) from error
    if len(rows) > limits.people:
        raise RequestError(422, f"{len(rows)} boxes were given; give at most {limits.people}")
    table = np.array([(*row, 1.0)[:5] for row in rows], np.float64).reshape(-1, 5)
    boxes, scores = table[:, :4], table[:, 4]
    if (np.abs(boxes) > FARTHEST).any() or (boxes[:, 2:] < 1).any():
        raise RequestError(
            422, f"boxes must be at least 1 pixel wide and high, and no number beyond {FARTHEST:g}"
        )
    if (scores < 0).any() or (scores > 1).any():
        raise RequestError(422, "scores of boxes must lie between 0 and 1")
    return boxes, scores
