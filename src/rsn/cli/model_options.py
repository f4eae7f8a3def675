"""Options that subcommands which run a model on a data set have in common, and what follows from them."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import tyro

from rsn.cli.progress import info, track
from rsn.distributed import DistributedInfo
from rsn.inference.backends import BackendChoice

if TYPE_CHECKING:
    from rsn.data.annotations import ImageFile
    from rsn.evaluation.prediction import DatasetBoxes, ImageBoxes
    from rsn.inference.box_checks import BoxNotes
    from rsn.inference.estimator import PoseEstimator

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which models, and how they run."""

    models: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="MODEL...")]
    """Names of weights, or weights files; of several the heatmaps are averaged (an ensemble)."""
    weights: tuple[float, ...] = ()
    """How much each model of an ensemble counts; equally by default."""
    low_memory: bool = False
    """Hold only one model of an ensemble in memory."""
    flip: bool = False
    """Average with the flipped crops (flip test)."""
    backend: BackendChoice = "auto"
    """What runs the networks; auto takes the fastest that is installed and as exact as PyTorch."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes CUDA, else MPS, where there is one."""
    batch_size: int = 32
    """People that the network looks at together."""

    def estimator(self) -> "PoseEstimator":
        """The models, ready to run; of several processes on one machine each takes a GPU of its own."""
        import torch

        from rsn.inference.estimator import PoseEstimator

        processes = DistributedInfo.from_environment()
        device = self.device
        if device == "auto" and processes.count > 1 and torch.cuda.is_available():
            device = f"cuda:{processes.index_on_host}"
        return PoseEstimator(
            self.models,
            weights=self.weights or None,
            low_memory=self.low_memory,
            backend=self.backend,
            device=device,
            flip=self.flip,
            batch_size=self.batch_size,
        )

    def estimate(
        self, estimator: "PoseEstimator", boxes: "Sequence[ImageBoxes]", **options: Any
    ) -> "tuple[list[dict[str, Any]], BoxNotes]":
        """As `evaluation.prediction.predict_dataset`, with progress and notices on stderr."""
        from rsn.evaluation.prediction import predict_dataset

        info(f"backend: {estimator.backend} on {estimator.device}")

        def with_progress(items: Iterable[T], total: int) -> Iterator[T]:
            return track(items, total=total, unit="image")

        found, notes = predict_dataset(estimator, boxes, with_progress, **options)
        if said := notes.sentence():
            info(said)
        return found, notes


@dataclass(frozen=True, kw_only=True)
class SelectionOptions(ModelOptions):
    """Which boxes are looked at, and which people stay."""

    box_threshold: float = 0.0
    """Leave out boxes of a file that score lower."""
    box_category: Annotated[str | None, tyro.conf.arg(metavar="NAME|ID|any")] = None
    """Of a file of boxes that has several categories, the one to look at; by default people."""
    nms: Literal["none", "oks", "soft-oks"] = "none"
    """What becomes of people detected twice: they stay, are left out (oks), or are ranked lower (soft-oks)."""
    nms_threshold: float = 0.9
    """OKS from which two people are one; for soft-oks, the smaller the lower doubles are ranked."""

    def estimate(
        self, estimator: "PoseEstimator", boxes: "Sequence[ImageBoxes]", **options: Any
    ) -> "tuple[list[dict[str, Any]], BoxNotes]":
        """As `ModelOptions.estimate`, with OKS-NMS as asked for."""
        return super().estimate(estimator, boxes, nms=self.nms, nms_threshold=self.nms_threshold, **options)

    def read_boxes(
        self,
        path: Path,
        files: "Iterable[ImageFile]",
        images: Path,
        category_ids: Collection[int | str] = (1,),
    ) -> "DatasetBoxes":
        """The boxes of a file that are asked for, in images that are there."""
        from rsn.data.image_files import check_files
        from rsn.evaluation.prediction import read_boxes

        boxes = read_boxes(
            path,
            list(files),
            category=self.box_category,
            category_ids=category_ids,
            min_score=self.box_threshold,
        )
        check_files({image.image.path for image in boxes.images}, images)
        return boxes
