"""Where in an image a network sees keypoints: its heatmaps, brought from the crops of all people onto the image."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from rsn.geometry import Image
from rsn.inference.estimator import ImageWithBoxes, PoseEstimator
from rsn.results import Person


def image_heatmap(estimator: PoseEstimator, image: Image, people: Sequence[Person]) -> NDArray[np.float32]:
    """The strongest keypoint of anybody at each pixel of the image, (H, W): 0 nothing, 1 a keypoint.

    The people are looked at in their boxes once more, by the first model.
    """
    height, width = image.shape[:2]
    heat = np.zeros((height, width), np.float32)
    views = estimator.preprocess(ImageWithBoxes.of(image, [person.box for person in people]))
    for start in range(0, len(views), estimator.batch_size):
        batch = views[start : start + estimator.batch_size]
        pixels = torch.from_numpy(np.stack([view.pixels[0] for view in batch])).permute(0, 3, 1, 2)
        strongest = estimator.heatmaps(pixels).amax(1).float().cpu().numpy() / 255
        for view, small in zip(batch, strongest, strict=True):
            crop = view.crops[0]
            glow = cv2.resize(small, crop.size[::-1], interpolation=cv2.INTER_LINEAR)
            back = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            heat = np.maximum(heat, cv2.warpAffine(glow, crop.matrix, (width, height), flags=back))
    return heat
