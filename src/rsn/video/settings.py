"""What can be chosen about a video. It imports nothing heavy: the command line shows these settings as its own."""

from dataclasses import dataclass, field

from rsn.errors import RsnError
from rsn.tracking.settings import Smoothing, Tracking


@dataclass(frozen=True)
class VideoSettings:
    """Which frames of a video are done, and how its people are followed."""

    every: int = 1
    """Take every Nth frame of a video and leave out those between."""
    start: float = 0.0
    """Seconds into the video to start at."""
    end: float = float("inf")
    """Seconds into the video to end at."""
    fps: float | None = None
    """Take each folder as the frames of one video, at so many a second, instead of as images."""
    detect_every: int = 1
    """Look for people in every Nth frame, and between where their last pose was."""
    tracking: Tracking = field(default_factory=Tracking)
    smoothing: Smoothing = field(default_factory=Smoothing)

    def check(self) -> None:
        """Raises RsnError where a setting cannot be."""
        for name, value in (("every", self.every), ("detect-every", self.detect_every)):
            if value < 1:
                raise RsnError(f"--{name} counts frames from 1 on, not {value}")
        if self.fps is not None and not 0 < self.fps < float("inf"):
            raise RsnError(f"--fps is a number of frames a second, not {self.fps:g}")
        if not 0 <= self.start < self.end:
            raise RsnError(f"a video cannot be done from second {self.start:g} to second {self.end:g}")
        self.tracking.check()
        self.smoothing.check()
