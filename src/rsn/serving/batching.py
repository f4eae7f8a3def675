"""Batches across requests: crops that arrive while the network is busy form the next batch."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from rsn.inference.estimator import PoseEstimator
from rsn.inference.single_model import ImageCrops
from rsn.results import PoseResult

T = TypeVar("T")
Pending = tuple[ImageCrops, asyncio.Future[PoseResult]]


class Batcher:
    """Runs the network in one thread, for crops of many requests.

    No request waits for a full batch: if the network is idle, a request runs alone; those that arrive meanwhile form
    the next batch of about `PoseEstimator.batch_size` people. Cancelled requests are dropped.

    Args:
        estimator: used by this object alone.
        on_batch: receives the number of people in each batch.
    """

    def __init__(self, estimator: PoseEstimator, on_batch: Callable[[int], None]) -> None:
        self._estimator = estimator
        self._on_batch = on_batch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rsn-network")
        self._pending: deque[Pending] = deque()
        self._task: asyncio.Task[None] | None = None

    async def predict(self, crops: ImageCrops) -> PoseResult:
        """The people of one image."""
        result: asyncio.Future[PoseResult] = asyncio.get_running_loop().create_future()
        self._pending.append((crops, result))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run_batches())
        return await result

    async def run(self, function: Callable[[], T]) -> T:
        """Another use of the network, between two batches."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    async def _run_batches(self) -> None:
        while batch := self._next_batch():
            images = [crops for crops, _ in batch]
            self._on_batch(sum(map(len, images)))
            try:
                results = await self.run(partial(self._estimator.predict, images))
            except Exception as error:  # fails the requests of this batch only
                for _, result in batch:
                    if not result.done():
                        result.set_exception(error)
            else:
                for (_, result), people in zip(batch, results, strict=True):
                    if not result.done():
                        result.set_result(people)

    def _next_batch(self) -> list[Pending]:
        batch, people = list[Pending](), 0
        while self._pending and people < self._estimator.batch_size:
            crops, result = self._pending.popleft()
            if not result.done():
                batch.append((crops, result))
                people += len(crops)
        return batch
