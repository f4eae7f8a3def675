"""What is drawn over pictures, as can be chosen. It imports nothing heavy: the command line shows these settings."""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Style:
    """What is drawn over photos and videos."""

    keypoint_threshold: float | None = None
    """Keypoints whose score is lower are not drawn, nor the limbs that touch them; by default what the weights say."""
    label: Literal["auto", "none", "id", "score"] = "auto"
    """What stands above each person: the id (in a photo the place in the results, from 1) or the score; auto gives
    the people of videos their ids."""
    boxes: bool = False
    """Draw the corners of the boxes."""
    heatmaps: bool = False
    """Let photos glow where the network sees joints; it looks at each person once more."""
    format: Literal["jpg", "png", "webp"] = "jpg"
    """Of the pictures of photos."""

    def with_defaults(self, keypoint_threshold: float) -> "Style":
        """The same with this threshold where none was chosen."""
        return (
            self
            if self.keypoint_threshold is not None
            else replace(self, keypoint_threshold=keypoint_threshold)
        )
