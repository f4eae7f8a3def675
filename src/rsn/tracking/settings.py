"""Settings of tracking and smoothing. Imports nothing heavy, because the command line uses them as options."""

from dataclasses import dataclass

from rsn.errors import RsnError


@dataclass(frozen=True)
class Tracking:
    """Matching of people between frames."""

    min_similarity: float = 0.2
    """Smallest similarity, 0 to 1, of the same person in two frames: the mean of OKS and box IoU."""
    max_gap: float = 1.0
    """Seconds after which a person who is not detected loses the track id."""

    def check(self) -> None:
        """Raise RsnError for a setting outside its range."""
        if not 0 <= self.min_similarity <= 1:
            raise RsnError(f"Invalid min-similarity: expected 0 to 1, got {self.min_similarity:g}")
        if not self.max_gap >= 0:
            raise RsnError(f"Invalid max-gap: expected 0 seconds or more, got {self.max_gap:g}")


@dataclass(frozen=True)
class Smoothing:
    """The one-euro filter of each keypoint (Casiez et al., CHI 2012)."""

    min_cutoff: float = 1.0
    """Cutoff at rest, in Hz. Lower is smoother; inf turns smoothing off."""
    beta: float = 8.0
    """Increase of the cutoff with speed, in Hz per person size per second. Higher lags less."""
    speed_cutoff: float = 1.0
    """Cutoff of the filter of the speed, in Hz."""

    def check(self) -> None:
        """Raise RsnError for a setting outside its range."""
        if not (self.min_cutoff > 0 and self.speed_cutoff > 0 and self.beta >= 0):
            raise RsnError(
                "Invalid smoothing: expected cutoffs above 0 Hz and a beta of 0 or more, got"
                f" {self.min_cutoff:g}, {self.speed_cutoff:g} and {self.beta:g}"
            )
