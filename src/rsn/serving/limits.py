"""Limits on requests: size, number at a time, shared memory; and the error of a rejected request."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rsn.errors import RsnError


@dataclass(frozen=True)
class Limits:
    """Largest requests, and how many are served at a time."""

    megabytes: float = 25.0
    """Largest upload; larger ones get status 413."""
    megapixels: float = 50.0
    """Largest image; larger ones get status 413. At most four such images are decoded in memory at a time."""
    people: int = 100
    """Most boxes per request; more get status 422."""
    seconds: float = 30.0
    """Longest upload (then status 408), and longest wait for a result (then status 503)."""
    requests: int = 128
    """Most requests at a time; further ones get status 429."""

    def check(self) -> None:
        """Raise RsnError for a limit that is not above 0."""
        for name, value in vars(self).items():
            if not 0 < value < float("inf"):
                raise RsnError(f"Invalid limit of {name}: expected a number above 0, got {value:g}")

    @property
    def bytes(self) -> int:
        """Of an upload."""
        return int(self.megabytes * 1e6)

    @property
    def pixels(self) -> int:
        """Of an image."""
        return int(self.megapixels * 1e6)


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
                429, f"{self.active} requests are being served, which is the limit; try again", retry_after=1
            )
        self.active += 1

    def __exit__(self, *error: object) -> None:
        self.active -= 1


class MemoryBudget:
    """An amount that requests share; a request that needs more than is left waits."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._left = total
        self._released = asyncio.Condition()

    @asynccontextmanager
    async def reserve(self, amount: int) -> AsyncIterator[None]:
        """Hold an amount, at most the total, until the block ends."""
        amount = min(amount, self._total)
        async with self._released:
            await self._released.wait_for(lambda: self._left >= amount)
            self._left -= amount
        try:
            yield
        finally:
            self._left += amount
            async with self._released:
                self._released.notify_all()
