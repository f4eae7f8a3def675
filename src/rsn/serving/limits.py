"""What enforces the limits on requests: number at a time, shared memory; and the error of a rejected request."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rsn.errors import RsnError


class RequestError(RsnError):
    """A rejected request: one sentence and an HTTP status.

    retry_after: seconds after which the same request may succeed; None if it never will.
    """

    def __init__(self, status: int, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class ConcurrencyLimiter:
    """Admits a number of requests at a time and rejects the next one."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.active = 0

    def __enter__(self) -> None:
        if self.active >= self.limit:
            raise RequestError(
                503, f"{self.active} requests are being served, which is the limit; try again", retry_after=1
            )
        self.active += 1

    def __exit__(self, *error: object) -> None:
        self.active -= 1


class MemoryBudget:
    """An amount that requests share; one that needs more than is left waits, and so do all that come after it."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._left = total
        self._first = asyncio.Lock()  # held by the request that waits longest
        self._released = asyncio.Event()

    @asynccontextmanager
    async def reserve(self, amount: int) -> AsyncIterator[None]:
        """Hold an amount, at most the total, until the block ends."""
        amount = min(amount, self._total)
        async with self._first:
            while self._left < amount:
                self._released.clear()
                await self._released.wait()
            self._left -= amount
        try:
            yield
        finally:
            self._left += amount
            self._released.set()
