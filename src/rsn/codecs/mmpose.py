"""MMPose's variant of the reference codec, for weights that were trained and measured there."""

from dataclasses import dataclass
from typing import ClassVar

from rsn.codecs.arrays import Array, as_floats, library_of, take
from rsn.codecs.base import register_codec
from rsn.codecs.heatmap import PEAK, STRIDE, cell_of, flattened, highest_cell
from rsn.codecs.megvii import MegviiCodec

COUNTED_SCORE = 0.2  # of a keypoint, to count for the person's score


@register_codec
@dataclass(frozen=True)
class MMPoseCodec(MegviiCodec):
    """MMPose's `MSRAHeatmap`/`MegviiHeatmap` way, for weights that were trained and measured there.

    Encode: as `MegviiCodec`, but the cell of the keypoint has 255, so that near the border its neighbors exceed it.

    Decode: the maximum of the blurred heatmap moves a quarter of a cell uphill on each axis by itself, and half a cell
    to the center of its cell; within two cells of the border neither happens. The raw score is the maximum of the
    heatmap, not blurred. A heatmap without a positive value gives position (-4, -4), and an empty one a raw score of
    0.5, where MMPose itself gives not-a-number. A person's score takes the keypoints above 0.2 only.
    """

    name: ClassVar[str] = "mmpose"
    peak_at_keypoint: ClassVar[bool] = True

    def decode(self, outputs: Array) -> tuple[Array, Array]:
        """Heatmaps (N, K, h, w) -> keypoints (N, K, 2), x, y in pixels of the crop, and raw scores (N, K)."""
        library = library_of(outputs)
        height, width = outputs.shape[-2:]
        blurred = flattened(self._blur(outputs))
        index = highest_cell(blurred)
        x, y = index % width, index // width
        highest = library.amax(flattened(outputs), -1)[..., None]
        inside = (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)
        center = library.where(inside, index, width + 1)  # elsewhere any cell that has four neighbors
        slope_x = take(blurred, center + 1) - take(blurred, center - 1)
        slope_y = take(blurred, center + width) - take(blurred, center - width)
        uphill = library.sign(library.concatenate([slope_x, slope_y], -1))
        position = as_floats(cell_of(index, width), outputs) + as_floats(inside, outputs) * (0.25 * uphill + 0.5)
        position = library.where(highest > 0, position, -1.0)
        return position * STRIDE, highest[..., 0] / PEAK + 0.5

    def mean_score(self, raw_scores: Array) -> Array:
        """Raw scores (N, K) -> (N,), the mean of those above 0.2; 0 where there is none."""
        counted = raw_scores > COUNTED_SCORE
        mean: Array = (raw_scores * counted).sum(-1) / library_of(raw_scores).clip(counted.sum(-1), 1, None)
        return mean
