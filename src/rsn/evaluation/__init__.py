"""Evaluation of poses: COCO's OKS AP, MPII's PCKh, box AP of detectors, and submission files."""

from rsn.evaluation.coco import CocoMetrics, evaluate_keypoints
from rsn.evaluation.mpii import PckhMetrics, evaluate_pckh
from rsn.evaluation.run import Evaluation, evaluate

__all__ = [
    "CocoMetrics",
    "Evaluation",
    "PckhMetrics",
    "evaluate",
    "evaluate_keypoints",
    "evaluate_pckh",
]
