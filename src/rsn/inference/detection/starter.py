"""Our own detector: the pose network with other outputs, see `heatmaps.boxes`."""

from collections.abc import Sequence

import numpy as np
import torch

from rsn.crops import Crop, Image, overlaps
from rsn.errors import WeightsError
from rsn.heatmaps.boxes import PERSON_BOX, decode_boxes, mirror_boxes_back
from rsn.inference.detection.boxes import Found, found_people, without_overlaps
from rsn.inference.devices import pick_device
from rsn.inference.engines import build_engine
from rsn.networks.card import Card, DetectorSettings
from rsn.networks.network import PoseNetwork

ONE_PERSON = 0.5  # overlap from which two boxes are of one person


class StarterDetector:
    """People, by a network of ours that was trained on boxes.

    Args:
        network, card: as `load_model` gives them; a copy of the network as it is now is used.
        device, box_threshold: as in `open_detector`.
        settings: image sizes, flip test and box threshold; by default those of the card.

    Raises:
        WeightsError: weights that find joints, not people.
    """

    def __init__(
        self,
        network: PoseNetwork,
        card: Card,
        *,
        device: str = "auto",
        box_threshold: float | None = None,
        settings: DetectorSettings | None = None,
    ) -> None:
        if card.skeleton != PERSON_BOX:
            raise WeightsError(f"these weights find {card.skeleton.name} joints; a detector's find boxes")
        self.engine = build_engine("torch", network, card, pick_device(device))
        self.card = card
        self.settings = settings or card.detector or DetectorSettings()
        self.box_threshold = self.settings.box_threshold if box_threshold is None else box_threshold

    @torch.inference_mode()
    def __call__(self, image: Image) -> Found:
        """(H, W, 3) uint8 RGB -> boxes (N, 4) x, y, width, height in image pixels, and scores (N,), best first."""
        boxes, scores = agreed([self._look(image, side) for side in self.settings.image_sizes])
        sure = scores >= self.box_threshold
        return without_overlaps((boxes[sure], scores[sure]), ONE_PERSON)

    def _look(self, image: Image, side: int) -> Found:
        """All boxes from the image, and with the flip test from the flipped one too, resized into a square."""
        height, width = image.shape[:2]
        crop = Crop.of_box([0, 0, width, height], (side, side), self.card.extension)
        crops = [crop, crop.mirrored()] if self.settings.flip_test else [crop]
        pixels = np.stack([one.cut_small(image) for one in crops])
        maps = self.engine(torch.from_numpy(pixels).permute(0, 3, 1, 2))
        if self.settings.flip_test:
            maps = (maps[:1] + mirror_boxes_back(maps[1:])) / 2
        corners, scores = decode_boxes(maps)
        ends = crop.to_image(corners[0].double().cpu().numpy().reshape(-1, 2)).reshape(-1, 4)
        return found_people(ends, scores[0].double().cpu().numpy(), (height, width), 0.0)


def agreed(looks: Sequence[Found]) -> Found:
    """Boxes of several looks at one picture, each with the mean of the best scores that the looks have there.

    A look that has nobody there says 0. The box is the mean of those boxes, weighted by their scores.
    """
    places = np.concatenate([boxes for boxes, _ in looks])
    scores, sums = np.zeros(len(places)), np.zeros((len(places), 4))
    for boxes, certainty in looks:
        votes = np.where(overlaps(places, boxes) >= ONE_PERSON, certainty, 0.0)
        best = votes.max(1, initial=0.0)
        scores += best
        for place in np.flatnonzero(best):
            sums[place] += best[place] * boxes[votes[place].argmax()]
    return sums / np.maximum(scores, 1e-12)[:, None], scores / len(looks)
