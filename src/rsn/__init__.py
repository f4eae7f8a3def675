"""Residual Steps Networks and Multi-Stage Pose Networks: people in images and where their keypoints are.

What is named here is imported at its first use, so that `import rsn` costs nothing by itself.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rsn import codecs, evaluation, training
    from rsn.errors import RsnError
    from rsn.evaluation import evaluate
    from rsn.inference.estimator import PoseEstimator
    from rsn.models.catalog import list_models, register_model
    from rsn.results import Person
    from rsn.skeletons import COCO_17, LSP_14, MPII_16, Skeleton
    from rsn.training.run import train
    from rsn.weights.loading import PoseModel, create_model, load_model, load_weights, save_weights
    from rsn.weights.metadata import ModelMetadata

__version__ = "0.1.0"

_MODULES = ("codecs", "evaluation", "training")
_HOMES = {
    "COCO_17": "rsn.skeletons",
    "LSP_14": "rsn.skeletons",
    "MPII_16": "rsn.skeletons",
    "Person": "rsn.results",
    "PoseEstimator": "rsn.inference.estimator",
    "RsnError": "rsn.errors",
    "Skeleton": "rsn.skeletons",
    "evaluate": "rsn.evaluation",
    "create_model": "rsn.weights.loading",
    "list_models": "rsn.models.catalog",
    "ModelMetadata": "rsn.weights.metadata",
    "PoseModel": "rsn.weights.loading",
    "load_model": "rsn.weights.loading",
    "load_weights": "rsn.weights.loading",
    "train": "rsn.training.run",
    "register_model": "rsn.models.catalog",
    "save_weights": "rsn.weights.loading",
}

__all__ = [
    "COCO_17",
    "LSP_14",
    "MPII_16",
    "ModelMetadata",
    "Person",
    "PoseEstimator",
    "PoseModel",
    "RsnError",
    "Skeleton",
    "__version__",
    "codecs",
    "create_model",
    "evaluate",
    "evaluation",
    "list_models",
    "load_model",
    "load_weights",
    "register_model",
    "save_weights",
    "train",
    "training",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"rsn.{name}")
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'rsn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
