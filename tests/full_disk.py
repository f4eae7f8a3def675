"""Simulate a full disk, also for root."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def nothing_can_be_written() -> Iterator[None]:
    """Make every write to a file fail, as on a full disk."""
    resource = pytest.importorskip("resource", reason="needs limits on the size of files")
    limits, before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
