"""Evaluation of poses: OKS AP, PCKh and PCK on public benchmarks, box AP of detectors, and submission files."""

from rsn.evaluation.benchmarks import BENCHMARKS, find_benchmark
from rsn.evaluation.coco import CocoMetrics, evaluate_keypoints
from rsn.evaluation.mpii import PckhMetrics, evaluate_pckh
from rsn.evaluation.pck import PckMetrics, evaluate_pck
from rsn.evaluation.run import Evaluation, evaluate

__all__ = [
    "BENCHMARKS",
    "CocoMetrics",
    "Evaluation",
    "PckMetrics",
    "PckhMetrics",
    "evaluate",
    "evaluate_keypoints",
    "evaluate_pck",
    "evaluate_pckh",
    "find_benchmark",
]
