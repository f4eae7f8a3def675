"""What is drawn over images. It imports nothing heavy: the command line shows these options."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class DrawOptions:
    """What is drawn over images and videos."""

    keypoint_threshold: float | None = None
    """Keypoints with a lower score are not drawn, nor the limbs that end in them. Default: the threshold of the
    weights."""
    label: Literal["auto", "none", "id", "score"] = "auto"
    """Label of each person: the track ID in a video, the position in the results (from 1) in an image; or the score.
    auto: the ID in videos, none in images."""
    boxes: bool = False
    """Draw the corners of the boxes."""
    heatmaps: bool = False
    """Images only: draw the heatmaps over the image; the network runs twice."""
    format: Literal["jpg", "png", "webp"] = "jpg"
    """File format of the drawn images."""
