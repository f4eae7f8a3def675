"""Limits on requests: how many are served at a time, how much memory they share, and how one is refused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rsn.errors import RsnError


class RequestError(RsnError):
    """A request that is turned away: one sentence, and the HTTP status that says whose fault it was.

    retry_after: seconds after which the same request may fare better; None where it never will.
    """

    def __init__(self, status: int, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class ConcurrencyLimiter:
    """Lets a number of requests in at a time and refuses the next one."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.inside = 0

    def __enter__(self) -> None:
        if self.inside >= self.places:
            raise RequestError(
                429, f"{self.inside} requests are being served, which is the most; try again", retry_after=1
            )
        self.inside += 1

    def __exit__(self, *error: object) -> None:
        self.inside -= 1


class MemoryBudget:
    """An amount that requests share; one that asks for more than is left waits."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._left = total
        self._returned = asyncio.Condition()

    @asynccontextmanager
    async def lent(self, amount: int) -> AsyncIterator[None]:
        """Hold an amount, at most the total, until the block ends."""
        amount = min(amount, self._total)
        async with self._returned:
            await self._returned.wait_for(lambda: self._left >= amount)
            self._left -= amount
        try:
            yield
        finally:
            self._left += amount
            async with self._returned:
                self._returned.notify_all()
