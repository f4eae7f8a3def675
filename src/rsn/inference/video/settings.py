"""What can be chosen about a video. It imports nothing heavy: the command line shows these settings as its own."""

from dataclasses import dataclass, field

from rsn.errors import RsnError


@dataclass(frozen=True)
class Tracking:
    """When a person is the same as before."""

    min_similarity: float = 0.2
    """The mean of OKS and box overlap, 0 to 1, below which two people are two."""
    max_gap: float = 1.0
    """Seconds for which somebody may be out of sight and come back as the same person."""


@dataclass(frozen=True)
class Smoothing:
    """The one-euro filter of each joint (Casiez et al., CHI 2012)."""

    min_cutoff: float = 1.0
    """Hz; what a joint at rest may tremble at. Lower is calmer; inf leaves joints as they were found."""
    beta: float = 8.0
    """How far a moving joint is let through, in Hz for each body size a second. Higher lags less."""
    speed_cutoff: float = 1.0
    """Hz; how quickly a joint's speed is believed."""


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
    """Take each folder as the frames of one video, at so many a second, instead of as photos."""
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
        self._check_following()

    def _check_following(self) -> None:
        if not 0 <= self.tracking.min_similarity <= 1:
            raise RsnError(f"a similarity is 0 to 1, not {self.tracking.min_similarity:g}")
        if not self.tracking.max_gap >= 0:
            raise RsnError(f"a gap lasts 0 seconds or longer, not {self.tracking.max_gap:g}")
        smoothing = self.smoothing
        if not (smoothing.min_cutoff > 0 and smoothing.speed_cutoff > 0 and smoothing.beta >= 0):
            raise RsnError(
                "smoothing needs cutoffs above 0 Hz and a beta of 0 or more, not"
                f" {smoothing.min_cutoff:g}, {smoothing.speed_cutoff:g} and {smoothing.beta:g}"
            )
