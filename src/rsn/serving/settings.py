"""Limits on requests. Imports nothing heavy, because the command line uses them as options."""

from dataclasses import dataclass

from rsn.errors import RsnError


@dataclass(frozen=True)
class Limits:
    """Largest requests, and how many are served at a time."""

    megabytes: float = 25.0
    """Largest upload; larger ones get status 413."""
    megapixels: float = 50.0
    """Largest image; larger ones get status 413. At most four such images are decoded in memory at a time, and 16
    smaller ones."""
    people: int = 100
    """Most boxes per request; more get status 422."""
    seconds: float = 30.0
    """Longest upload (then status 408), and longest wait for a result (then status 503)."""
    requests: int = 64
    """Most requests at a time; further ones get status 503 at once."""

    def check(self) -> None:
        """Raise RsnError for a limit that is not above 0."""
        for name, value in vars(self).items():
            if not 0 < value < float("inf"):
                raise RsnError(f"Invalid limit of {name}: expected a number above 0, got {value:g}")

    @property
    def bytes(self) -> int:
        """Of an upload."""
        return int(self.megabytes * 1e6)

    @property
    def pixels(self) -> int:
        """Of an image."""
        return int(self.megapixels * 1e6)
