"""Options of the subcommands that look for people, and what follows from them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from rsn.cli.progress import info
from rsn.errors import RsnError

if TYPE_CHECKING:
    from rsn.detection.postprocessing import Detector
    from rsn.inference.box_sources import BoxFile, BoxSource

STARTER = "starter"  # as `inference.detection.opening` has it, which would import torch


@dataclass(frozen=True, kw_only=True)
class DetectionOptions:
    """Where people are, and what finds them."""

    boxes: Annotated[str, tyro.conf.arg(metavar="detect|whole|FILE")] = "detect"
    """Where people are: `detect` lets the detector find them; `whole` takes each image as one person; FILE is JSON,
    either COCO detections or annotations, or {"image.jpg": [[x, y, width, height], ...]}; a video's frames go by
    their number."""
    box_category: Annotated[str | None, tyro.conf.arg(metavar="NAME|ID|any")] = None
    """Of a file of boxes that has several categories, the one to look at; by default people."""
    detector: Annotated[str, tyro.conf.arg(metavar="NAME|FILE")] = STARTER
    """What finds people: starter, which comes with rsn; dfine, rtdetr, or another model of these families on the
    Hugging Face hub or in a folder; an ONNX file; weights of your own training (docs/detectors.md)."""
    box_threshold: float | None = None
    """Boxes that the detector is less sure of are left out; by default what suits the detector."""
    person_threshold: float | None = None
    """People whose score (box score times mean keypoint score) is lower are left out; by default what the weights say
    for detected people, and nobody in given boxes."""

    def check_detector(self) -> None:
        """Raises RsnError where a detector is named that nobody asks."""
        if self.boxes != "detect" and self.detector != STARTER:
            raise RsnError(
                f"--detector {self.detector} is of no use with --boxes {self.boxes}; leave one of the two out"
            )
        if self.boxes in ("detect", "whole") and self.box_category is not None:
            raise RsnError(
                f"--box-category goes with a file of boxes, not with --boxes {self.boxes}; leave it out"
            )

    def report_detector(self) -> None:
        """Where ours is at work, how to get a stronger one."""
        if self.boxes == "detect" and self.detector == STARTER:
            info(
                "starter, the small detector in the package, looks for people; --detector dfine finds more of them"
                " (fetched once; pip install 'rsn-pose[detect]')"
            )

    def open_detector(self, device: str) -> "Detector":
        """The detector, ready to be called."""
        from rsn.detection import open_detector

        opened = open_detector(self.detector, device=device, box_threshold=self.box_threshold)
        self.report_detector()
        return opened

    def box_source(self, device: str) -> "BoxSource":
        """Where the boxes of an image come from."""
        from rsn.inference.box_sources import BoxFile, detection_boxes, whole_image_boxes

        if self.boxes == "detect":
            return detection_boxes(self.open_detector(device))
        if self.boxes == "whole":
            return whole_image_boxes
        file = BoxFile.read(Path(self.boxes), category=self.box_category)
        self.report_boxes(file)
        return file

    def report_boxes(self, file: "BoxFile") -> None:
        """What of a file of boxes is not looked at."""
        if file.skipped:
            others = "of another category" in file.skipped
            info(f"boxes: {self.boxes}; {file.summary()}{' (--box-category takes others)' if others else ''}")
