"""Where in an image a network sees keypoints: the heatmaps of all persons, mapped from their crops onto the image."""

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from rsn.codecs.arrays import as_array
from rsn.results import PoseResult

if TYPE_CHECKING:
    from rsn.inference.estimator import PoseEstimator


def image_heatmap(estimator: "PoseEstimator", result: PoseResult) -> NDArray[np.float32]:
    """The highest heatmap value of all persons and keypoints at each pixel, (H, W): 0 none, 1 a keypoint.

    The network runs on the boxes of the persons once more. The result must hold its image.
    """
    assert result.image is not None
    height, width = result.image_size
    heatmap = np.zeros((height, width), np.float32)
    if not len(result):
        return heatmap
    bboxes = np.stack([person.bbox for person in result])
    crops = estimator.preprocess(result.image, bboxes, result.box_scores, keep_image=False)
    highest = as_array(estimator.forward([crops])).max(1) / 255
    for crop, cells in zip(crops.crops, highest, strict=True):
        pixels = cv2.resize(cells, crop.size[::-1], interpolation=cv2.INTER_LINEAR)
        back = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        heatmap = np.maximum(heatmap, cv2.warpAffine(pixels, crop.matrix, (width, height), flags=back))
    return heatmap
