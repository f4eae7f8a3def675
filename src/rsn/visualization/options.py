"""What is drawn over images. It imports nothing heavy: the command line shows these options."""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from rsn.errors import UnknownNameError


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
    uncertainty: bool = False
    """Draw a circle around each keypoint, whose radius is its expected error; only with weights that are calibrated
    for it, as rsn18.starter is."""
    heatmaps: bool = False
    """Images only: draw the heatmaps over the image; the network runs twice."""
    format: Literal["jpg", "png", "webp"] = "jpg"
    """File format of the drawn images."""


def changed_options(options: DrawOptions | None, changes: dict[str, Any]) -> DrawOptions:
    """The options, or their defaults, with some fields changed; UnknownNameError for a name that is no field."""
    names = [field.name for field in fields(DrawOptions)]
    for name in changes:
        if name not in names:
            raise UnknownNameError("draw option", name, names)
    return replace(options or DrawOptions(), **changes)
