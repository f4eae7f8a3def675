"""Settings of videos. Imports nothing heavy, because the command line uses them as options."""

from dataclasses import dataclass, field

from rsn.errors import RsnError
from rsn.tracking.settings import Smoothing, Tracking


@dataclass(frozen=True)
class VideoSettings:
    """Which frames of a video are processed, and how people are tracked."""

    every: int = 1
    """Process every Nth frame of a video."""
    start: float = 0.0
    """Start time in the video, in seconds."""
    end: float = float("inf")
    """End time in the video, in seconds."""
    fps: float | None = None
    """Treat each folder as one video with so many frames per second, instead of as single images."""
    detect_every: int = 1
    """Detect people in every Nth frame, and follow their last poses in between."""
    tracking: Tracking = field(default_factory=Tracking)
    smoothing: Smoothing = field(default_factory=Smoothing)

    def check(self) -> None:
        """Raise RsnError for a setting outside its range."""
        for name, value in (("every", self.every), ("detect-every", self.detect_every)):
            if value < 1:
                raise RsnError(f"Invalid --{name}: expected a number of frames from 1, got {value}")
        if self.fps is not None and not 0 < self.fps < float("inf"):
            raise RsnError(f"Invalid --fps: expected a number above 0, got {self.fps:g}")
        if not 0 <= self.start < self.end:
            raise RsnError(f"Invalid --start and --end: expected 0 <= start < end, got {self.start:g} and {self.end:g}")
        self.tracking.check()
        self.smoothing.check()
