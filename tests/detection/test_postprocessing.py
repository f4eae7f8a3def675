"""Filtering and NMS of detections."""

import numpy as np

from rsn.detection.postprocessing import filter_detections, nms


def test_filter_detections_clips_and_sorts() -> None:
    corners = [[-10, -20, 30, 40], [50, 10, 200, 300], [5, 5, 25, 45]]
    boxes, scores = filter_detections(corners, [0.5, 0.9, 0.2], (100, 80), 0.3)
    np.testing.assert_array_equal(boxes, [[50, 10, 30, 90], [0, 0, 30, 40]])
    np.testing.assert_array_equal(scores, [0.9, 0.5])


def test_filter_detections_leaves_out_invalid_boxes() -> None:
    corners = [[90, 10, 120, 50], [10, 10, 11, 50], [40, 40, 20, 20], [np.nan, 0, 9, 9], [0, 0, np.inf, 50]]
    boxes, scores = filter_detections(corners, np.ones(5), (100, 80), 0.3)
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


def test_nms_keeps_the_better_of_overlapping_boxes() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [100, 0, 10, 10], [1, 0, 10, 10], [5, 0, 10, 10]])
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    kept, kept_scores = nms((boxes, scores), 0.5)
    np.testing.assert_array_equal(kept, boxes[[0, 1, 3]])
    np.testing.assert_array_equal(kept_scores, scores[[0, 1, 3]])


def test_nms_of_no_boxes() -> None:
    boxes, scores = nms((np.zeros((0, 4)), np.zeros(0)), 0.5)
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)
