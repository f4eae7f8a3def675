"""Options shared by the subcommands that run a model."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from rsn.distributed import DistributedInfo
from rsn.inference.backends import BackendChoice

if TYPE_CHECKING:
    from rsn.inference.estimator import PoseEstimator


@dataclass(frozen=True, kw_only=True)
class BackendOptions:
    """How a network runs."""

    flip: bool = False
    """Average with the flipped crops (flip test): twice the time, slightly more accurate."""
    backend: BackendChoice = "auto"
    """What runs the networks; auto uses the fastest backend that is installed and as exact as PyTorch."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto uses CUDA if available, else MPS, else the CPU."""
    batch_size: int = 32
    """Number of persons per run of the network."""

    def backend_options(self) -> dict[str, Any]:
        """These options as `PoseEstimator` takes them."""
        return {
            "backend": self.backend,
            "device": self.device,
            "batch_size": self.batch_size,
            "flip_test": self.flip,
        }


@dataclass(frozen=True, kw_only=True)
class ModelOptions(BackendOptions):
    """Which models to run, and how."""

    models: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="MODEL...")]
    """Names of weights, or weights files; the heatmaps of several are averaged (an ensemble)."""
    ensemble_weights: tuple[float, ...] = ()
    """Weight of each model of an ensemble in the average; equal by default."""
    low_memory: bool = False
    """Keep only one model of an ensemble in memory."""

    def estimator(self) -> "PoseEstimator":
        """The estimator; each of several processes on one machine uses a GPU of its own."""
        import torch

        from rsn.inference.estimator import PoseEstimator

        processes = DistributedInfo.from_environment()
        options = self.backend_options()
        if self.device == "auto" and processes.count > 1 and torch.cuda.is_available():
            options["device"] = f"cuda:{processes.index_on_host}"
        weights = self.ensemble_weights or None
        return PoseEstimator(self.models, ensemble_weights=weights, low_memory=self.low_memory, **options)


@dataclass(frozen=True, kw_only=True)
class SelectionOptions(ModelOptions):
    """Which boxes are used, and how duplicates are removed."""

    box_threshold: float = 0.0
    """Skip boxes of the file with a lower score."""
    box_category: Annotated[str | None, tyro.conf.arg(metavar="NAME|ID|any")] = None
    """Category of the boxes, if the file has several; person by default."""
    nms: Literal["none", "oks", "soft-oks"] = "none"
    """Duplicate removal: none, oks (OKS-NMS), or soft-oks, which lowers their scores instead."""
    nms_threshold: float = 0.9
    """OKS above which two poses are duplicates; for soft-oks, lower values reduce scores more."""

    def selection(self) -> dict[str, Any]:
        """These options as `evaluation.evaluate` takes them."""
        return {
            "box_threshold": self.box_threshold,
            "box_category": self.box_category,
            "nms": self.nms,
            "nms_threshold": self.nms_threshold,
        }
