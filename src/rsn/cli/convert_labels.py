"""rsn data convert: labels of another tool as COCO-keypoints JSON, and back."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rsn.cli.progress import info


@dataclass(frozen=True)
class Convert:
    """Convert labels of another tool to COCO-keypoints JSON, or labels and predictions for another tool.

    Read: COCO, CVAT, labelme, Label Studio, YOLO-pose (Ultralytics, Roboflow), DeepLabCut, SLEAP, VIA, MPII lists,
    OpenPose, and results of AlphaPose, COCO and `rsn predict`.
    """

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """Labels: a file, or the folder of the dataset or project."""
    output: Path
    """File to write (coco, cvat, label-studio), or new folder (labelme, yolo, dlc)."""
    images: Path | None = None
    """Folder of the images; by default it is searched beside the labels."""
    format: str | None = None
    """Format of the labels; by default it is recognized."""
    to: str = "coco"
    """Format to write: coco, cvat, labelme, label-studio, yolo or dlc."""
    skeleton: Annotated[Path | None, tyro.conf.arg(metavar="YAML")] = None
    """Skeleton file; needed if the labels do not name the keypoints."""

    def run(self) -> int:
        """Write the labels; errors in them are raised."""
        from rsn.data.formats import find_format, read_labels, write_labels
        from rsn.io.files import check_writable
        from rsn.skeletons import Skeleton

        key = find_format(self.to, to_write=True)
        if key in ("coco", "cvat", "label-studio"):
            check_writable(self.output)
        skeleton = Skeleton.from_file(self.skeleton) if self.skeleton else None
        labels = read_labels(self.source, self.images, format_name=self.format, skeleton=skeleton)
        write_labels(labels, self.output, key)
        people = sum(len(image.people) for image in labels.images)
        info(
            f"wrote {self.output}: {people} people with {len(labels.keypoint_names)} keypoints in {len(labels.images)}"
            f" images of {labels.folder}"
        )
        return 0
