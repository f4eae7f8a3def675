"""Options of the subcommands that detect persons, and what follows from them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from rsn.cli.model_options import BackendOptions
from rsn.cli.progress import info
from rsn.errors import RsnError

if TYPE_CHECKING:
    from rsn.detection.postprocessing import Detector
    from rsn.inference.box_sources import BoxFile, BoxSource

STARTER = "starter"  # as in `rsn.detection.starter`, which would import torch


@dataclass(frozen=True, kw_only=True)
class DetectionOptions(BackendOptions):
    """Where the persons are, and what detects them."""

    boxes: Annotated[str, tyro.conf.arg(metavar="detect|whole|FILE")] = "detect"
    """Where the persons are: `detect` uses the detector; `whole` uses each image as the box of one person; FILE is
    JSON, either COCO detections or annotations, or {"image.jpg": [[x, y, width, height], ...]}; frames of a video are
    named by their number."""
    box_category: Annotated[str | None, tyro.conf.arg(metavar="NAME|ID|any")] = None
    """Category of the boxes to use, for a file of boxes with several categories; by default persons."""
    detector: Annotated[str, tyro.conf.arg(metavar="NAME|FILE")] = STARTER
    """Person detector: starter, or the slower starter-best, included in rsn; dfine, rtdetr, or another model of these
    families on the Hugging Face hub or in a folder; an ONNX file; weights that you trained (docs/detectors.md)."""
    box_threshold: float | None = None
    """Detected boxes with a lower score are left out. Default: the threshold of the detector."""
    person_threshold: float | None = None
    """Persons with a lower score (box score times mean keypoint score) are left out. Default: the threshold of the
    weights for detected persons, none for given boxes."""

    def check_detector(self) -> None:
        """Raise an RsnError for options that have no effect together."""
        if self.boxes != "detect" and self.detector != STARTER:
            raise RsnError(
                f"--detector {self.detector} has no effect with --boxes {self.boxes}; leave one of the two out"
            )
        if self.boxes in ("detect", "whole") and self.box_category is not None:
            raise RsnError(f"--box-category needs a file of boxes, not --boxes {self.boxes}; leave it out")

    def open_detector(self) -> "Detector | None":
        """The detector, ready to be called; None if boxes are given."""
        if self.boxes != "detect":
            return None
        from rsn.detection.loading import open_detector

        detector = open_detector(
            self.detector, backend=self.backend, device=self.device, box_threshold=self.box_threshold
        )
        self.report_detector()
        return detector

    def report_detector(self) -> None:
        """Print how to get a better detector than the included one, if that is used."""
        if self.boxes == "detect" and self.detector == STARTER:
            info(
                "detector: starter, the small one included in rsn; --detector dfine finds more persons"
                " (downloaded once; pip install 'rsn-pose[detect]')"
            )

    def box_source(self) -> "BoxSource | None":
        """Where the boxes of an image come from; None for the detector."""
        from rsn.inference.box_sources import BoxFile, open_box_source

        source = open_box_source(self.boxes, category=self.box_category)
        if isinstance(source, BoxFile):
            self.report_boxes(source)
        return source

    def report_boxes(self, file: "BoxFile") -> None:
        """Print what is not used of a file of boxes."""
        if file.skipped:
            others = "of another category" in file.skipped
            info(f"boxes: {self.boxes}; {file.summary()}{' (see --box-category)' if others else ''}")
