"""Our own detector: the pose network with other outputs, see `heatmaps.boxes`."""

import torch

from rsn.crops import Crop, Image
from rsn.errors import WeightsError
from rsn.heatmaps.boxes import PERSON_BOX, decode_boxes
from rsn.inference.detection.boxes import STARTER_LEAST_SCORE, Found, found_people, without_overlaps
from rsn.inference.devices import pick_device
from rsn.networks.card import Card
from rsn.networks.network import PoseNetwork

MOST_OVERLAP = 0.6  # of two people's boxes


class StarterDetector:
    """People, by a network of ours that was trained on boxes.

    Args:
        network, card: as `load_model` gives them; the network is put in eval mode.
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
        if card.skeleton.joints != PERSON_BOX.joints:
            raise WeightsError(f"these weights find {card.skeleton.name} joints; a detector's find boxes")
        self.device = pick_device(device)
        self.network = network.eval().to(self.device)
        self.card = card
        self.least_score = least_score

    @torch.inference_mode()
    def __call__(self, image: Image) -> Found:
        """(H, W, 3) uint8 RGB -> boxes (N, 4) x, y, width, height in image pixels, and scores (N,), best first."""
        height, width = image.shape[:2]
        crop = Crop.of_box([0, 0, width, height], self.card.input_size, self.card.extension)
        pixels = torch.from_numpy(crop.cut_small(image)).permute(2, 0, 1)[None].to(self.device)
        corners, scores = decode_boxes(self.network(self.card.normalise(pixels)))
        ends = crop.to_image(corners[0].double().cpu().numpy().reshape(-1, 2)).reshape(-1, 4)
        found = found_people(ends, scores[0].double().cpu().numpy(), (height, width), self.least_score)
        return without_overlaps(found, MOST_OVERLAP)
