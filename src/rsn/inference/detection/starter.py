"""Our own detector: the pose network with other outputs, see `heatmaps.boxes`."""

from collections.abc import Sequence

import numpy as np
import torch

from rsn.crops import Crop, Image
from rsn.errors import WeightsError
from rsn.heatmaps.boxes import PERSON_BOX, decode_boxes, mirror_boxes_back
from rsn.inference.detection.boxes import (
    STARTER_LEAST_SCORE,
    Found,
    found_people,
    overlaps,
    without_overlaps,
)
from rsn.inference.devices import pick_device
from rsn.inference.engines import build_engine
from rsn.networks.card import COARSEST, Card
from rsn.networks.network import PoseNetwork

# Times the card's input size: those who are small are found in the large look, those who fill the picture in the small.
LOOKS = (3 / 7, 1.0)
ONE_PERSON = 0.5  # overlap from which two boxes are of one person


class StarterDetector:
    """People, by a network of ours that was trained on boxes.

    Args:
        network, card: as `load_model` gives them; a copy of the network as it is now is used.
        device, least_score: as in `open_detector`.

    Raises:
        WeightsError: weights that find joints, not people.
    """

    def __init__(
        self,
        network: PoseNetwork,
        card: Card,
        *,
        device: str = "auto",
        least_score: float = STARTER_LEAST_SCORE,
    ) -> None:
        if card.skeleton != PERSON_BOX:
            raise WeightsError(f"these weights find {card.skeleton.name} joints; a detector's find boxes")
        self.engine = build_engine("torch", network, card, pick_device(device))
        self.card = card
        self.least_score = least_score

    @torch.inference_mode()
    def __call__(self, image: Image) -> Found:
        """(H, W, 3) uint8 RGB -> boxes (N, 4) x, y, width, height in image pixels, and scores (N,), best first."""
        boxes, scores = agreed([self._look(image, factor) for factor in LOOKS])
        sure = scores >= self.least_score
        return without_overlaps((boxes[sure], scores[sure]), ONE_PERSON)

    def _look(self, image: Image, factor: float) -> Found:
        """All boxes from the picture and its mirror image at one size."""
        height, width = image.shape[:2]
        high, wide = (max(1, round(factor * side / COARSEST)) * COARSEST for side in self.card.input_size)
        crop = Crop.of_box([0, 0, width, height], (high, wide), self.card.extension)
        pixels = np.stack([crop.cut_small(image), crop.mirrored().cut_small(image)])
        straight, mirrored = self.engine(torch.from_numpy(pixels).permute(0, 3, 1, 2)).chunk(2)
        corners, scores = decode_boxes((straight + mirror_boxes_back(mirrored)) / 2)
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
