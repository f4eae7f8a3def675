"""Our own detector: the pose network with other outputs, see `heatmaps.boxes`."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from rsn.detection.postprocessing import Detections, box_nms, filter_detections
from rsn.errors import WeightsError
from rsn.geometry import Crop, Image, box_iou
from rsn.inference.backends import build_backend
from rsn.inference.devices import pick_device
from rsn.weights.metadata import DetectorMetadata, DetectorSettings, Metadata

MATCH_IOU = 0.5  # overlap from which two boxes are of one person


class StarterDetector:
    """People, by a network of ours that was trained on boxes.

    Args:
        network, metadata: as `load_network` gives them; a copy of the network as it is now is used.
        device, box_threshold: as in `open_detector`.
        settings: image sizes, flip test and box threshold; by default those of the metadata.

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
        boxes, scores = fuse_detections([self._look(image, side) for side in self.settings.image_sizes])
        sure = scores >= self.box_threshold
        return box_nms((boxes[sure], scores[sure]), MATCH_IOU)

    def _look(self, image: Image, side: int) -> Detections:
        """All boxes from the image, and with the flip test from the flipped one too, resized into a square."""
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


def fuse_detections(looks: Sequence[Detections]) -> Detections:
    """Boxes of several looks at one image, each with the mean of the best scores that the looks have there.

    A look that has nobody there says 0. The box is the mean of those boxes, weighted by their scores.
    """
    places = np.concatenate([boxes for boxes, _ in looks])
    scores, sums = np.zeros(len(places)), np.zeros((len(places), 4))
    for boxes, certainty in looks:
        votes = np.where(box_iou(places, boxes) >= MATCH_IOU, certainty, 0.0)
        best = votes.max(1, initial=0.0)
        scores += best
        for place in np.flatnonzero(best):
            sums[place] += best[place] * boxes[votes[place].argmax()]
    return sums / np.maximum(scores, 1e-12)[:, None], scores / len(looks)
