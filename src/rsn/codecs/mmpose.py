"""MMPose's variant of the reference codec, for weights that were trained and measured there."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from rsn.codecs.base import register_codec
from rsn.codecs.heatmap import PEAK, STRIDE, cell_of
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

    def decode(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Heatmaps (N, K, h, w) -> keypoints (N, K, 2), x, y in pixels of the crop, and raw scores (N, K)."""
        height, width = outputs.shape[-2:]
        blurred = self._blur(outputs).flatten(2)
        index = blurred.argmax(-1, keepdim=True)
        peak = cell_of(index, width).to(outputs)
        highest = outputs.flatten(2).amax(-1, keepdim=True)
        inside = ((peak > 1) & (peak < peak.new_tensor([width - 1, height - 1]))).all(-1, keepdim=True)
        center = torch.where(inside, index, width + 1)  # elsewhere any cell that has four neighbors
        slope_x = blurred.gather(-1, center + 1) - blurred.gather(-1, center - 1)
        slope_y = blurred.gather(-1, center + width) - blurred.gather(-1, center - width)
        position = peak + inside * (0.25 * torch.cat([slope_x, slope_y], dim=-1).sign() + 0.5)
        position = torch.where(highest > 0, position, -1.0)
        return position * STRIDE, highest.squeeze(-1) / PEAK + 0.5

    def mean_score(self, raw_scores: Tensor) -> Tensor:
        """Raw scores (N, K) -> (N,), the mean of those above 0.2; 0 where there is none."""
        counted = raw_scores > COUNTED_SCORE
        return (raw_scores * counted).sum(-1) / counted.sum(-1).clamp(min=1)
