"""Batches across requests: what arrives while a network is busy forms its next batch."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Batcher(Generic[T, R]):
    """Runs a function on the inputs of many requests at a time, in one thread.

    No request waits for a full batch: if the thread is idle, a request runs alone; those that arrive meanwhile form the
    next batch. Cancelled requests are dropped.

    Args:
        function: inputs -> their results, in the same order.
        thread: runs it. Batchers of several networks share one, since each network uses all cores.
        turn: shared by the batchers of a thread. A batch is formed when its turn has come.
        batch_size: a batch is full when its inputs, whose sizes `size_of` returns, reach this.
        on_batch: receives the size of each batch.
    """

    def __init__(
        self,
        function: Callable[[list[T]], Sequence[R]],
        thread: Executor,
        turn: asyncio.Lock,
        *,
        batch_size: int,
        size_of: Callable[[T], int] = lambda _: 1,
        on_batch: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._function = function
        self._thread = thread
        self._turn = turn
        self._batch_size = batch_size
        self._size_of = size_of
        self._on_batch = on_batch
        self._pending: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def run(self, item: T) -> R:
        """The result for one input."""
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._pending.append((item, result))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run_batches())
        return await result

    async def _run_batches(self) -> None:
        while self._pending:
            async with self._turn:
                if batch := self._next_batch():
                    await self._run_batch(batch)

    async def _run_batch(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        items = [item for item, _ in batch]
        self._on_batch(sum(map(self._size_of, items)))
        try:
            answers = await asyncio.get_running_loop().run_in_executor(self._thread, self._function, items)
        except Exception as error:  # fails the requests of this batch only
            for _, result in batch:
                if not result.done():
                    result.set_exception(error)
        else:
            for (_, result), answer in zip(batch, answers, strict=True):
                if not result.done():
                    result.set_result(answer)

    def _next_batch(self) -> list[tuple[T, asyncio.Future[R]]]:
        batch, size = list[tuple[T, asyncio.Future[R]]](), 0
        while self._pending and size < self._batch_size:
            item, result = self._pending.popleft()
            if not result.done():
                batch.append((item, result))
                size += self._size_of(item)
        return batch
