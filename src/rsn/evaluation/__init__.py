"""How good the answers are: COCO keypoint AP."""

from rsn.evaluation.coco import CocoMetrics, evaluate_keypoints

__all__ = ["CocoMetrics", "evaluate_keypoints"]
