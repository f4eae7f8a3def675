"""Our own detector: the pose network with other outputs, see `heatmaps.boxes`."""

import numpy as np
import torch

from rsn.crops import Crop, Image
from rsn.errors import WeightsError
from rsn.heatmaps.boxes import PERSON_BOX, decode_boxes, mirror_boxes_back
from rsn.inference.detection.boxes import STARTER_LEAST_SCORE, Floats, Found, found_people, without_overlaps
from rsn.inference.devices import pick_device
from rsn.inference.engines import build_engine
from rsn.networks.card import COARSEST, Card
from rsn.networks.network import PoseNetwork

MOST_OVERLAP = 0.6  # of two people's boxes
# Times the card's input size: in the smaller picture large people look as the crops of training showed people.
LOOKS = (0.5, 1.0)


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
        looks = [self._look(image, factor) for factor in LOOKS]
        ends, scores = (np.concatenate(parts) for parts in zip(*looks, strict=True))
        found = found_people(ends, scores, image.shape[:2], self.least_score)
        return without_overlaps(found, MOST_OVERLAP)

    def _look(self, image: Image, factor: float) -> tuple[Floats, Floats]:
        """Corners (N, 4) in image pixels and scores (N,), from the picture and its mirror image at one size."""
        height, width = image.shape[:2]
        size = tuple(round(factor * side / COARSEST) * COARSEST for side in self.card.input_size)
        crop = Crop.of_box([0, 0, width, height], (size[0], size[1]), self.card.extension)
        pixels = np.stack([crop.cut_small(image), crop.mirrored().cut_small(image)])
        straight, mirrored = self.engine(torch.from_numpy(pixels).permute(0, 3, 1, 2)).chunk(2)
        corners, scores = decode_boxes((straight + mirror_boxes_back(mirrored)) / 2)
        ends = crop.to_image(corners[0].double().cpu().numpy().reshape(-1, 2)).reshape(-1, 4)
        return ends, scores[0].double().cpu().numpy()
