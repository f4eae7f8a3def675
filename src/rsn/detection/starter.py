"""The person detector included in rsn: the pose network with the outputs of `rsn.codecs.box`."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from rsn.detection.postprocessing import Detections, filter_detections, nms
from rsn.errors import WeightsError
from rsn.geometry import Crop, Image, box_iou
from rsn.inference.backends import build_backend
from rsn.inference.devices import pick_device
from rsn.weights.metadata import DetectorMetadata, DetectorSettings, Metadata

MATCH_IOU = 0.5  # IoU from which two boxes are taken as those of one person


class StarterDetector:
    """Detects persons with a network that was trained by rsn on boxes.

    Args:
        network, metadata: as `load_network` returns them; a copy of the network is used.
        device, box_threshold: as in `open_detector`.
        settings: image sizes, flip test and box threshold; those of the metadata by default.

    Raises:
        WeightsError: weights that find keypoints, not people.
    """

    def __init__(
        self,
        network: nn.Module,
        metadata: Metadata,
        *,
        device: str = "auto",
        box_threshold: float | None = None,
        settings: DetectorSettings | None = None,
    ) -> None:
        if not isinstance(metadata, DetectorMetadata):
            raise WeightsError(
                f"expected the weights of a detector, got weights that find {metadata.skeleton.name} keypoints"
            )
        self.backend = build_backend("torch", network, metadata, pick_device(device))
        self.metadata = metadata
        self.settings = settings or metadata.detector
        self.box_threshold = self.settings.box_threshold if box_threshold is None else box_threshold

    @torch.inference_mode()
    def __call__(self, image: Image) -> Detections:
        """(H, W, 3) uint8 RGB -> boxes (N, 4) x, y, width, height in image pixels, and scores (N,), best first."""
        boxes, scores = fuse_detections([self._detect(image, side) for side in self.settings.image_sizes])
        sure = scores >= self.box_threshold
        return nms((boxes[sure], scores[sure]), MATCH_IOU)

    def _detect(self, image: Image, side: int) -> Detections:
        """All boxes of the image, resized into a square of this side; with the flip test averaged over both flips."""
        height, width = image.shape[:2]
        crop = Crop.from_box([0, 0, width, height], (side, side), (1.0, 1.0))
        crops = [crop, crop.flipped()] if self.settings.flip_test else [crop]
        pixels = np.stack([one.warp_antialiased(image) for one in crops])
        maps = self.backend(torch.from_numpy(pixels).permute(0, 3, 1, 2))
        if self.settings.flip_test:
            maps = (maps[:1] + self.metadata.codec.flip_back(maps[1:])) / 2
        corners, scores = self.metadata.codec.decode(maps)
        ends = crop.to_image(corners[0].double().cpu().numpy().reshape(-1, 2)).reshape(-1, 4)
        return filter_detections(ends, scores[0].double().cpu().numpy(), (height, width), 0.0)


def fuse_detections(per_scale: Sequence[Detections]) -> Detections:
    """The boxes of one image at several scales, fused.

    The score of a box is the mean, over all scales, of the best score among the boxes that match it; a scale without
    such a box counts 0. The box is the mean of these boxes, weighted by their scores.
    """
    all_boxes = np.concatenate([boxes for boxes, _ in per_scale])
    scores, sums = np.zeros(len(all_boxes)), np.zeros((len(all_boxes), 4))
    for boxes, confidence in per_scale:
        matching = np.where(box_iou(all_boxes, boxes) >= MATCH_IOU, confidence, 0.0)
        best = matching.max(1, initial=0.0)
        scores += best
        for index in np.flatnonzero(best):
            sums[index] += best[index] * boxes[matching[index].argmax()]
    return sums / np.maximum(scores, 1e-12)[:, None], scores / len(per_scale)
