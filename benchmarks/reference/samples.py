"""A training sample as the reference's loader makes it: pixels as normalised floats, five targets a joint."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reference.codec import targets
from rsn.datasets.augment import AugmentedCrop
from rsn.datasets.labelled import LabelledPerson

MEAN, STD = (0.406, 0.456, 0.485), (0.225, 0.224, 0.229)  # BGR


def sample(person: LabelledPerson, drawn: AugmentedCrop, mirror: list[int]) -> tuple[Tensor, Tensor]:
    """Input (3, H, W), BGR, and targets (5, K, h, w); where the crop lies has been drawn before.

    A crop that is mirrored is cut from the mirrored photo; mirror: of the skeleton.
    """
    height, width = drawn.crop.size
    image, matrix = cv2.imread(str(person.image.path), cv2.IMREAD_COLOR), drawn.crop.matrix
    joints, visibility = person.keypoints.copy(), person.visibility.copy()
    if np.linalg.det(matrix[:, :2]) < 0:
        image = image[:, ::-1]
        back = [[-1, 0, image.shape[1] - 1], [0, 1, 0], [0, 0, 1]]
        matrix = matrix @ back
        joints[:, 0] = image.shape[1] - 1 - joints[:, 0]
        joints, visibility = joints[mirror], visibility[mirror]
    pixels = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
    for joint in range(len(joints)):
        if visibility[joint] > 0:
            x, y = matrix @ [*joints[joint], 1.0]
            joints[joint] = x, y
            if x < 0 or x >= width or y < 0 or y >= height:
                visibility[joint] = 0
    return normalised(pixels), targets(joints, visibility, drawn.crop.size)


def normalised(pixels: NDArray[np.uint8]) -> Tensor:
    """What torchvision's ToTensor and Normalize do."""
    tensor = torch.from_numpy(pixels.transpose(2, 0, 1)).contiguous().float().div(255)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return tensor.sub(mean).div_(std)
