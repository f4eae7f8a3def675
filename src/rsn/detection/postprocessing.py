"""What all detectors do with the boxes that their network found."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsn.geometry import Image

Floats = NDArray[np.float64]
Detections = tuple[Floats, Floats]  # boxes (N, 4) x, y, width, height in image pixels; scores (N,)
Detector = Callable[[Image], Detections]  # finds people: (H, W, 3) uint8 RGB -> their boxes, best first

BOX_THRESHOLD = 0.3  # boxes with lower scores are left out; weights of ours have their own in their metadata
SMALLEST_SIDE = 2.0  # pixels of a box, within the image


def filter_detections(
    corners: ArrayLike, scores: ArrayLike, image_size: tuple[int, int], box_threshold: float
) -> Detections:
    """The boxes that are worth a look: score high enough, cut at the image's border, best first.

    corners: (N, 4) left, top, right, bottom in image pixels. scores: (N,). image_size: (height, width). Rows with a
    number that is not finite are left out, as are boxes of which less than two pixels lie in the image.
    """
    rows, confidence = np.asarray(corners, np.float64).reshape(-1, 4), np.asarray(scores, np.float64)
    known = np.isfinite(rows).all(1) & (confidence >= box_threshold)
    rows, confidence = rows[known], confidence[known]
    height, width = image_size
    low, high = (np.clip(ends, 0, (width, height)) for ends in (rows[:, :2], rows[:, 2:]))
    boxes = np.column_stack([low, high - low])
    order = np.argsort(-confidence, kind="stable")
    order = order[(boxes[order, 2:] >= SMALLEST_SIDE).all(1)]
    return boxes[order], confidence[order]


def box_nms(found: Detections, nms_iou_threshold: float) -> Detections:
    """Leave out boxes whose overlap (intersection over union) with a better one is higher (NMS)."""
    boxes, scores = found
    kept = np.asarray(
        cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), 0.0, nms_iou_threshold), np.intp
    ).reshape(-1)
    return boxes[kept], scores[kept]
