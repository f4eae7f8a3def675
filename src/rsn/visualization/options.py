"""What is drawn over images. It imports nothing heavy: the command line shows these options."""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from rsn.errors import RsnError, UnknownNameError, check_threshold

Label = Literal["auto", "none", "id", "score"]


@dataclass(frozen=True)
class DrawOptions:
    """What is drawn over images and videos."""

    keypoint_threshold: float | None = None
    """Keypoints with a lower score are not drawn, nor the limbs that end in them. Default: the threshold of the
    weights."""
    label: Label = "auto"
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

    def check(self) -> None:
        """Refuse a keypoint_threshold outside [0, 1] and an unknown label (RsnError)."""
        if self.keypoint_threshold is not None:
            check_threshold("keypoint_threshold", self.keypoint_threshold)
        if self.label not in get_args(Label):
            raise RsnError(f"Invalid label: expected one of {', '.join(get_args(Label))}, got {self.label!r:.80}")


def changed_options(options: DrawOptions | None, changes: dict[str, Any]) -> DrawOptions:
    """The options, or their defaults, with some fields changed.

    Raises:
        UnknownNameError: a name that is no field. RsnError: as `DrawOptions.check`; options of another type.
    """
    if not (options is None or isinstance(options, DrawOptions)):
        raise RsnError(f"Invalid options: expected rsn.DrawOptions, got {options!r:.80}; write plot(boxes=True)")
    names = [field.name for field in fields(DrawOptions)]
    for name in changes:
        if name not in names:
            raise UnknownNameError("draw option", name, names)
    changed = replace(options or DrawOptions(), **changes)
    changed.check()
    return changed
