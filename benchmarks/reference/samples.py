"""A training sample as in the reference's loader: pixels as normalized floats, five targets per keypoint."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reference.codec import targets
from rsn.data.annotations import PersonAnnotation
from rsn.data.augment import AugmentedCrop

MEAN, STD = (0.406, 0.456, 0.485), (0.225, 0.224, 0.229)  # BGR


def sample(person: PersonAnnotation, drawn: AugmentedCrop, flip: list[int]) -> tuple[Tensor, Tensor]:
    """Input (3, H, W), BGR, and targets (5, K, h, w); the position of the crop is given.

    A crop that is flipped is cut from the flipped image; flip: of the skeleton.
    """
    height, width = drawn.crop.size
    image, matrix = cv2.imread(str(person.image.path), cv2.IMREAD_COLOR), drawn.crop.matrix
    keypoints, visibility = person.keypoints.copy(), person.visibility.copy()
    if np.linalg.det(matrix[:, :2]) < 0:
        image = image[:, ::-1]
        back = [[-1, 0, image.shape[1] - 1], [0, 1, 0], [0, 0, 1]]
        matrix = matrix @ back
        keypoints[:, 0] = image.shape[1] - 1 - keypoints[:, 0]
        keypoints, visibility = keypoints[flip], visibility[flip]
    pixels = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
    for keypoint in range(len(keypoints)):
        if visibility[keypoint] > 0:
            x, y = matrix @ [*keypoints[keypoint], 1.0]
            keypoints[keypoint] = x, y
            if x < 0 or x >= width or y < 0 or y >= height:
                visibility[keypoint] = 0
    return normalized(pixels), targets(keypoints, visibility, drawn.crop.size)


def normalized(pixels: NDArray[np.uint8]) -> Tensor:
    """Apply what torchvision's ToTensor and Normalize do."""
    tensor = torch.from_numpy(pixels.transpose(2, 0, 1)).contiguous().float().div(255)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return tensor.sub(mean).div_(std)
