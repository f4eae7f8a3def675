"""What is drawn over images, as can be chosen. It imports nothing heavy: the command line shows these settings."""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class DrawOptions:
    """What is drawn over images and videos."""

    keypoint_threshold: float | None = None
    """Keypoints whose score is lower are not drawn, nor the limbs that touch them; by default what the weights say."""
    label: Literal["auto", "none", "id", "score"] = "auto"
    """What stands above each person: the id (in an image the place in the results, from 1) or the score; auto gives
    the people of videos their ids."""
    boxes: bool = False
    """Draw the corners of the boxes."""
    heatmaps: bool = False
    """Let images glow where the network sees keypoints; it looks at each person once more."""
    format: Literal["jpg", "png", "webp"] = "jpg"
    """Of the images of images."""

    def with_defaults(self, keypoint_threshold: float) -> "DrawOptions":
        """The same with this threshold where none was chosen."""
        return (
            self
            if self.keypoint_threshold is not None
            else replace(self, keypoint_threshold=keypoint_threshold)
        )
