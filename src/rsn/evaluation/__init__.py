"""How good the answers are: COCO keypoint AP."""

from rsn.evaluation.coco import KeypointScores, evaluate_keypoints

__all__ = ["KeypointScores", "evaluate_keypoints"]
