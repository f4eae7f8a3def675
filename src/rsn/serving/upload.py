"""Reading of requests: the image file in the body and its boxes, within the limits; clients that disconnect."""

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
from rsn.serving.limits import RequestError
from rsn.serving.settings import Limits

MAX_SIDE = 32_000  # pixels; OpenCV cannot warp images larger than 32,767
MAX_COORDINATE = 1e6  # pixels; larger numbers lose the precision that the crop needs
T = TypeVar("T")

_Rows = TypeAdapter(list[Annotated[list[FiniteFloat], Field(min_length=4, max_length=5)]])


async def read_image(request: Request, limits: Limits) -> bytes:
    """The body of a request: an image file.

    The content type is checked because other websites can make a browser send bodies without one, or forms, to any
    address that it reaches, including this machine.

    Raises:
        RequestError: 415 for another content type, 413 for too many bytes, 408 for a body that takes too long.
        ClientDisconnect: the client disconnected before the end.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if not kind.startswith("image/") and kind != "application/octet-stream":
        raise RequestError(
            415,
            f"Invalid Content-Type: the body must be one image file, such as image/jpeg, got {kind or 'none'}",
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
    """The result of `work`, which is cancelled when the client disconnects (ClientDisconnect)."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        working.cancel()
        leaving.cancel()
        # An error refers to this frame and the task to its error: a cycle that would keep the image of the request.
        del working, leaving


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _check_length(length: int, limits: Limits) -> None:
    if length > limits.bytes:
        raise RequestError(413, f"the image has more than {limits.megabytes:g} megabytes; send a smaller one")


def check_size(data: bytes, limits: Limits) -> tuple[int, int]:
    """(width, height) of an image, read before it is decoded.

    Raises:
        RequestError: 415 for an unknown format, 413 for too many pixels.
    """
    size = declared_size(data)
    if size is None:
        raise RequestError(415, "the body is not a JPEG, PNG, WebP, GIF or BMP image; send one of these")
    width, height = size
    if width * height > limits.pixels or max(size) > MAX_SIDE:
        raise RequestError(
            413,
            f"the image has {width} x {height} pixels; scale it down to at most {limits.megapixels:g} megapixels and"
            f" {MAX_SIDE} pixels per side",
        )
    return size


def decode(data: bytes) -> Image:
    """The image as (H, W, 3) uint8 RGB; raises RequestError 422 if it is damaged."""
    try:
        return decode_image(data, "the image")
    except RsnError as error:
        raise RequestError(422, str(error)) from error


def parse_boxes(text: str, limits: Limits) -> Boxes:
    """JSON [[x, y, width, height], [x, y, width, height, score], ...] -> boxes (N, 4) and scores (N,), 1 by default.

    Raises:
        RequestError: 422 for anything else, or more boxes than the limit.
    """
    try:
        rows = _Rows.validate_json(text)
    except ValidationError as error:
        expected = "expected JSON such as [[x, y, width, height], [x, y, width, height, score]]"
        raise RequestError(422, f"Invalid boxes: {expected}, got {error.errors()[0]['msg']}") from error
    if len(rows) > limits.people:
        raise RequestError(422, f"Invalid boxes: expected at most {limits.people}, got {len(rows)}")
    table = np.array([(*row, 1.0)[:5] for row in rows], np.float64).reshape(-1, 5)
    boxes, scores = table[:, :4], table[:, 4]
    if (np.abs(boxes) > MAX_COORDINATE).any() or (boxes[:, 2:] < 1).any():
        raise RequestError(
            422,
            f"Invalid boxes: expected width and height of at least 1 pixel and no number beyond {MAX_COORDINATE:g}",
        )
    if (scores < 0).any() or (scores > 1).any():
        raise RequestError(422, "Invalid boxes: expected scores from 0 to 1")
    return boxes, scores
