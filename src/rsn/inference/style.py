"""What is drawn over pictures, as can be chosen. It imports nothing heavy: the command line shows these settings."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Style:
    """What is drawn over photos and videos."""

    min_score: float = 0.6
    """Joints that score lower are left out, and the limbs that touch them; one that was not found scores around 0.5."""
    label: Literal["auto", "none", "id", "score"] = "auto"
    """What stands above each person: the id (in a photo the place in the results, from 1) or the score; auto gives
    the people of videos their ids."""
    boxes: bool = False
    """Draw the corners of the boxes."""
    heatmaps: bool = False
    """Let photos glow where the network sees joints; it looks at each person once more."""
    format: Literal["jpg", "png", "webp"] = "jpg"
    """Of the pictures of photos."""
