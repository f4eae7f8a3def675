"""Work that overlaps: the steps of a pipeline, each in a thread of its own."""

from collections.abc import Generator, Iterable
from queue import Empty, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")

_END = object()


def ahead(items: Iterable[T], depth: int) -> Generator[T]:
    """The same items, made in a thread that runs up to `depth` items ahead of whoever takes them.

    What `items` raises is raised here, after the items before it. When the taker stops early (`close`), so does the
    thread, and `items` is closed where it can be; this waits until it is.
    """
    queue: Queue[object] = Queue(depth)
    stopped = Event()
    failures: list[BaseException] = []

    def make() -> None:
        try:
            for item in items:
                queue.put(item)
                if stopped.is_set():
                    break
        except BaseException as error:  # it belongs to the taker, whatever it is
            failures.append(error)
        finally:
            if isinstance(items, Generator):
                items.close()
            queue.put(_END)

    thread = Thread(target=make, daemon=True)
    thread.start()
    try:
        while (item := queue.get()) is not _END:
            yield item  # type: ignore[misc]
        if failures:
            raise failures[0]
    finally:
        stopped.set()
        while thread.is_alive():
            _empty(queue)  # so that the thread can put what it has at hand, and notice
            thread.join(0.01)


def _empty(queue: Queue[object]) -> None:
    try:
        while True:
            queue.get_nowait()
    except Empty:
        pass
