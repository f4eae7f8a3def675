"""How much the service takes on."""

from dataclasses import dataclass

from rsn.errors import RsnError


@dataclass(frozen=True)
class Limits:
    """What one request may ask for, and how many are served at a time."""

    megabytes: float = 25.0
    """Largest upload; beyond it 413."""
    megapixels: float = 50.0
    """Largest image; beyond it 413. At most four such images are unpacked in memory at a time."""
    people: int = 100
    """Most boxes in a request; beyond it 422."""
    seconds: float = 30.0
    """Longest upload, then 408, and longest wait for an answer, then 503."""
    requests: int = 128
    """Most requests at a time; the next one gets 429."""

    def check(self) -> None:
        """See that each can be.

        Raises:
            RsnError: one is not above 0.
        """
        for name, value in vars(self).items():
            if not 0 < value < float("inf"):
                raise RsnError(f"the limit of {name} must be above 0, not {value:g}")

    @property
    def bytes(self) -> int:
        """Of an upload."""
        return int(self.megabytes * 1e6)

    @property
    def pixels(self) -> int:
        """Of an image."""
        return int(self.megapixels * 1e6)
