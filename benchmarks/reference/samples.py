"""A training sample as the reference's loader makes it: pixels as normalised floats, five targets a joint."""

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reference.codec import targets
from rsn.datasets.augment import AugmentedCrop

MEAN, STD = (0.406, 0.456, 0.485), (0.225, 0.224, 0.229)  # BGR


def sample(photo: Path, drawn: AugmentedCrop) -> tuple[Tensor, NDArray[np.float32]]:
    """Input (3, H, W), BGR, and targets (5, K, h, w); where the crop lies has been drawn before."""
    height, width = drawn.crop.size
    image = cv2.imread(str(photo), cv2.IMREAD_COLOR)
    pixels = cv2.warpAffine(image, drawn.crop.matrix, (width, height), flags=cv2.INTER_LINEAR)
    return normalised(pixels), targets(drawn.keypoints, drawn.visibility, drawn.crop.size)


def normalised(pixels: NDArray[np.uint8]) -> Tensor:
    """What torchvision's ToTensor and Normalize do."""
    tensor = torch.from_numpy(pixels.transpose(2, 0, 1)).contiguous().float().div(255)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return tensor.sub_(mean).div_(std)
