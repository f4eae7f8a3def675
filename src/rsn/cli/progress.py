"""Notices and progress, on stderr so that stdout stays for results."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rsn.distributed import DistributedInfo

T = TypeVar("T")


def info(text: str) -> None:
    """Print one line for the user; with several processes only the first one does."""
    if DistributedInfo.from_environment().rank == 0:
        print(f"rsn: {text}", file=sys.stderr)


def track(items: Iterable[T], *, total: int | None, unit: str) -> Iterator[T]:
    """Yield the items, with a progress bar if stderr is a terminal and this is the first process.

    total: the number of items; None if it is not known.
    """
    from rich.console import Console
    from rich.progress import track as rich_track

    console = Console(stderr=True)
    if console.is_terminal and DistributedInfo.from_environment().rank == 0:
        yield from rich_track(items, total=total, description=f"{unit}s", console=console, transient=True)
    else:
        yield from items


def track_images(items: Iterable[T], total: int) -> Iterator[T]:
    """Show a progress bar over images."""
    return track(items, total=total, unit="image")
