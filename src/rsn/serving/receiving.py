"""A request's body, read within the limits and kept in memory alone; and clients that go away."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from rsn.serving.admission import Refused
from rsn.serving.limits import Limits

T = TypeVar("T")


async def read_picture(request: Request, limits: Limits) -> bytes:
    """The body of a request, which is a picture file.

    A content type is demanded since web pages of others can send a body without one, or a form, to any address that a
    browser reaches, this machine's own included.

    Raises:
        Refused: 415 for another content type, 413 for too many bytes, 408 for a body that takes too long.
        ClientDisconnect: the client hung up before the end.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if not kind.startswith("image/") and kind != "application/octet-stream":
        raise Refused(
            415,
            f"the body must be one picture file and its Content-Type image/jpeg, image/png or the like,"
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
        raise Refused(408, f"the picture did not arrive within {limits.seconds:g} seconds") from error
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
        raise Refused(413, f"the picture has more than {limits.megabytes:g} megabytes; send a smaller one")
