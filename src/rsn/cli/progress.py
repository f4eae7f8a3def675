"""Notices and progress, on stderr so that stdout stays for results."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rsn.distributed import DistributedInfo

T = TypeVar("T")


def info(text: str) -> None:
    """One line for the user; of several processes the first one speaks."""
    if DistributedInfo.from_environment().rank == 0:
        print(f"rsn: {text}", file=sys.stderr)


def track(items: Iterable[T], *, total: int | None, unit: str) -> Iterator[T]:
    """Pass items on behind a progress bar, which is there only where somebody can see it, and once.

    total: how many will come; None where nobody knows.
    """
    from rich.console import Console
    from rich.progress import track as rich_track

    console = Console(stderr=True)
    yield from rich_track(
        items,
        total=total,
        description=f"{unit}s",
        console=console,
        transient=True,
        disable=not console.is_terminal or DistributedInfo.from_environment().rank > 0,
    )


def track_images(items: Iterable[T], total: int) -> Iterator[T]:
    """Show a progress bar over images."""
    return track(items, total=total, unit="image")
