"""What all detectors do with the boxes that their network predicts."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import ArrayLike

from rsn.geometry import FloatArray, Image

Detections = tuple[FloatArray, FloatArray]  # boxes (N, 4) x, y, width, height in image pixels; scores (N,)
Detector = Callable[[Image], Detections]  # (H, W, 3) uint8 RGB -> boxes of persons, best first


@runtime_checkable
class NetworkDetector(Protocol):
    """A detector in three steps, of which the second runs its network for many images at a time.

    preprocess: (H, W, 3) uint8 RGB -> inputs of the network. forward: inputs of many images -> outputs of each.
    postprocess: inputs and outputs of one image -> detections. Any thread may call the first and the last.
    """

    def preprocess(self, image: Image) -> Any: ...

    def forward(self, inputs: Sequence[Any]) -> list[Any]: ...

    def postprocess(self, inputs: Any, outputs: Any) -> Detections: ...


BOX_THRESHOLD = 0.3  # boxes with lower scores are left out, unless the weights or the caller say otherwise
MIN_SIDE = 2.0  # pixels of a box, within the image


def filter_detections(
    corners: ArrayLike, scores: ArrayLike, image_size: tuple[int, int], box_threshold: float
) -> Detections:
    """The boxes with a sufficient score, cut at the image's border, best first.

    Boxes with a number that is not finite, or with less than two pixels inside the image, are left out.

    corners: (N, 4) left, top, right, bottom in image pixels. scores: (N,). image_size: (height, width).
    """
    rows, confidence = np.asarray(corners, np.float64).reshape(-1, 4), np.asarray(scores, np.float64)
    valid = np.isfinite(rows).all(1) & (confidence >= box_threshold)
    rows, confidence = rows[valid], confidence[valid]
    height, width = image_size
    low, high = (np.clip(ends, 0, (width, height)) for ends in (rows[:, :2], rows[:, 2:]))
    boxes = np.column_stack([low, high - low])
    order = np.argsort(-confidence, kind="stable")
    order = order[(boxes[order, 2:] >= MIN_SIDE).all(1)]
    return boxes[order], confidence[order]


def nms(detections: Detections, iou_threshold: float) -> Detections:
    """Leave out boxes whose intersection over union with a better one is above the threshold."""
    boxes, scores = detections
    indices = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), 0.0, iou_threshold)
    chosen = np.asarray(indices, np.intp).reshape(-1)
    return boxes[chosen], scores[chosen]


def to_corners(centers: FloatArray, sizes: FloatArray) -> FloatArray:
    """Centers (N, 2) and sizes (N, 2) -> left, top, right, bottom (N, 4)."""
    return np.hstack([centers - sizes / 2, centers + sizes / 2])
