"""What can be chosen about tracking and smoothing. It imports nothing heavy: the command line shows these settings."""

from dataclasses import dataclass

from rsn.errors import RsnError


@dataclass(frozen=True)
class Tracking:
    """When a person is the same as before."""

    min_similarity: float = 0.2
    """The mean of OKS and box overlap, 0 to 1, below which two people are two."""
    max_gap: float = 1.0
    """Seconds for which somebody may be out of sight and come back as the same person."""

    def check(self) -> None:
        """Raises RsnError where a setting is outside its range."""
        if not 0 <= self.min_similarity <= 1:
            raise RsnError(f"a similarity is 0 to 1, not {self.min_similarity:g}")
        if not self.max_gap >= 0:
            raise RsnError(f"a gap lasts 0 seconds or longer, not {self.max_gap:g}")


@dataclass(frozen=True)
class Smoothing:
    """The one-euro filter of each keypoint (Casiez et al., CHI 2012)."""

    min_cutoff: float = 1.0
    """Hz; what a keypoint at rest may tremble at. Lower is calmer; inf leaves keypoints as they were found."""
    beta: float = 8.0
    """How far a moving keypoint is let through, in Hz for each skeleton size a second. Higher lags less."""
    speed_cutoff: float = 1.0
    """Hz; how quickly a keypoint's speed is believed."""

    def check(self) -> None:
        """Raises RsnError where a setting is outside its range."""
        if not (self.min_cutoff > 0 and self.speed_cutoff > 0 and self.beta >= 0):
            raise RsnError(
                "smoothing needs cutoffs above 0 Hz and a beta of 0 or more, not"
                f" {self.min_cutoff:g}, {self.speed_cutoff:g} and {self.beta:g}"
            )
