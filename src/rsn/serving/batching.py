"""Batches formed across requests: what arrives while the network is busy goes through it together."""

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
OnBatch = Callable[[int], None]


class Batcher:
    """Views of many requests -> their people, by one network that runs in a thread of its own.

    Nobody waits for a batch to fill: a request that finds the network idle goes through alone, and those that come in
    the meantime form the next batch, of about `PoseEstimator.batch_size` people. One whose request has been given up
    is left out.

    Args:
        estimator: used by this object alone.
        on_batch: told the number of people in each batch.
    """

    def __init__(self, estimator: PoseEstimator, on_batch: OnBatch) -> None:
        self._estimator = estimator
        self._on_batch = on_batch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rsn-network")
        self._waiting: deque[tuple[ImageCrops, asyncio.Future[PoseResult]]] = deque()
        self._working: asyncio.Task[None] | None = None

    async def people(self, crops: ImageCrops) -> PoseResult:
        """The persons of one image that `PoseEstimator.select` reports."""
        answer: asyncio.Future[PoseResult] = asyncio.get_running_loop().create_future()
        self._waiting.append((crops, answer))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await answer

    async def run(self, work: Callable[[], T]) -> T:
        """Something else that needs the network, between two batches."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _work(self) -> None:
        while batch := self._next_batch():
            images = [crops for crops, _ in batch]
            self._on_batch(sum(map(len, images)))
            try:
                found = await self.run(partial(self._estimator.predict, images))
            except Exception as error:  # for the requests of this batch; the next batch goes on
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
            else:
                for (_, answer), people in zip(batch, found, strict=True):
                    if not answer.done():
                        answer.set_result(people)

    def _next_batch(self) -> list[tuple[ImageCrops, asyncio.Future[PoseResult]]]:
        batch, people = [], 0
        while self._waiting and people < self._estimator.batch_size:
            crops, answer = self._waiting.popleft()
            if not answer.done():
                batch.append((crops, answer))
                people += len(crops)
        return batch
