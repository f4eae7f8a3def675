"""Work done ahead by threads, handed out in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import repeat
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ordered_map(function: Callable[[T], R], items: Iterable[T], *, threads: int, ahead: int) -> Generator[R]:
    """What `function` answers for every item, in the items' order, computed by threads.

    Items are taken by the caller's thread, and no more than `ahead` answers are under way or wait to be fetched, so
    memory does not grow with the number of items. What `function` raises is raised where its answer would come.
    When the caller stops, what has not begun is dropped.
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
    """The same items, made in a thread, up to `ahead` of them before they are asked for.

    What `items` raises is raised after the items before it. When the caller stops, `items` is closed once the item at
    hand is made.
    """
    end = object()
    with (
        closing(items),
        closing(ordered_map(lambda _: next(items, end), repeat(None), threads=1, ahead=ahead)) as made,
    ):
        for item in made:
            if item is end:
                return
            yield item  # type: ignore[misc]
