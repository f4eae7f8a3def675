"""Work done ahead by threads, and returned in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import repeat
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ordered_map(function: Callable[[T], R], items: Iterable[T], *, threads: int, ahead: int) -> Generator[R]:
    """Yield the results of `function` for all items, in their order, computed by threads.

    Items are taken in the caller's thread. At most `ahead` results are being computed or wait, so memory does not grow
    with the number of items. An error of `function` is raised in place of its result. When the caller stops, work that
    has not started is dropped.
    """
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) == ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def prefetch(items: Generator[T], *, ahead: int) -> Generator[T]:
    """Yield the same items, computed in a thread, up to `ahead` of them before they are needed.

    An error of `items` is raised after the items before it. When the caller stops, `items` is closed after its current
    item.
    """
    end = object()
    with (
        closing(items),
        closing(ordered_map(lambda _: next(items, end), repeat(None), threads=1, ahead=ahead)) as computed,
    ):
        for item in computed:
            if item is end:
                return
            yield item  # type: ignore[misc]
