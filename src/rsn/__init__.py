"""Multi-person 2-D pose estimation with Residual Steps Networks (RSN) and Multi-Stage Pose Networks (MSPN).

Names are imported at their first use: `import rsn` imports neither torch nor numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rsn import bulk, codecs, evaluation, serving, training
    from rsn.detection.loading import open_detector
    from rsn.errors import RsnError
    from rsn.evaluation import evaluate
    from rsn.inference.ensemble import Ensemble
    from rsn.inference.estimator import PoseEstimator
    from rsn.inference.single_model import SingleModel
    from rsn.io.images import read_image, write_image
    from rsn.models.catalog import list_models
    from rsn.models.registry import register_model
    from rsn.results import Person, PoseResult
    from rsn.skeletons import (
        AIC_14,
        COCO_17,
        CROWDPOSE_14,
        JHMDB_15,
        LSP_14,
        MPII_16,
        WHOLEBODY_133,
        Skeleton,
    )
    from rsn.training.run import train
    from rsn.visualization.drawing import draw
    from rsn.visualization.options import DrawOptions
    from rsn.weights.loading import PoseModel, load_model, load_weights, save_weights
    from rsn.weights.metadata import ModelMetadata
    from rsn.weights.transfer import create_model

__version__ = "0.1.0"

_PACKAGES = ("bulk", "codecs", "evaluation", "serving", "training")
_MODULE_OF = {
    "AIC_14": "rsn.skeletons",
    "COCO_17": "rsn.skeletons",
    "CROWDPOSE_14": "rsn.skeletons",
    "DrawOptions": "rsn.visualization.options",
    "Ensemble": "rsn.inference.ensemble",
    "JHMDB_15": "rsn.skeletons",
    "LSP_14": "rsn.skeletons",
    "MPII_16": "rsn.skeletons",
    "ModelMetadata": "rsn.weights.metadata",
    "Person": "rsn.results",
    "PoseEstimator": "rsn.inference.estimator",
    "PoseModel": "rsn.weights.loading",
    "PoseResult": "rsn.results",
    "RsnError": "rsn.errors",
    "SingleModel": "rsn.inference.single_model",
    "Skeleton": "rsn.skeletons",
    "WHOLEBODY_133": "rsn.skeletons",
    "create_model": "rsn.weights.transfer",
    "draw": "rsn.visualization.drawing",
    "evaluate": "rsn.evaluation",
    "list_models": "rsn.models.catalog",
    "load_model": "rsn.weights.loading",
    "load_weights": "rsn.weights.loading",
    "open_detector": "rsn.detection.loading",
    "read_image": "rsn.io.images",
    "register_model": "rsn.models.registry",
    "save_weights": "rsn.weights.loading",
    "train": "rsn.training.run",
    "write_image": "rsn.io.images",
}

__all__ = [
    "AIC_14",
    "COCO_17",
    "CROWDPOSE_14",
    "JHMDB_15",
    "LSP_14",
    "MPII_16",
    "WHOLEBODY_133",
    "DrawOptions",
    "Ensemble",
    "ModelMetadata",
    "Person",
    "PoseEstimator",
    "PoseModel",
    "PoseResult",
    "RsnError",
    "SingleModel",
    "Skeleton",
    "__version__",
    "bulk",
    "codecs",
    "create_model",
    "draw",
    "evaluate",
    "evaluation",
    "list_models",
    "load_model",
    "load_weights",
    "open_detector",
    "read_image",
    "register_model",
    "save_weights",
    "serving",
    "train",
    "training",
    "write_image",
]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"rsn.{name}")
    if name in _MODULE_OF:
        value = getattr(import_module(_MODULE_OF[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'rsn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
