"""rsn data label: predictions of a model as COCO-keypoints annotations."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rsn.cli.detection_options import DetectionOptions
from rsn.cli.progress import info, track
from rsn.errors import RsnError


@dataclass(frozen=True)
class Label(DetectionOptions):
    """Label images with a model: keypoints with a high score are visible (2), all others unknown (-1).

    Unknown keypoints are never trained. To correct the labels in another tool, see `rsn data convert`.
    """

    images: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGES")]
    """Folder of images, with its subfolders."""
    output: Path
    """COCO-keypoints JSON to write."""
    model: str = "rsn18.starter"
    """Name of weights, or a weights file."""
    keypoint_threshold: float | None = None
    """Keypoints with a lower score are unknown. Default: the threshold of the weights."""

    def run(self) -> int:
        """Exit status: 0 when every image was labeled."""
        from rsn.data.formats import write_labels
        from rsn.data.formats.labels import Labels, files_below
        from rsn.data.formats.predictions import image_from_result
        from rsn.errors import check_threshold
        from rsn.inference.box_checks import BoxNotes
        from rsn.inference.estimator import PoseEstimator
        from rsn.inference.images import add_boxes
        from rsn.io.files import check_writable
        from rsn.io.image_formats import is_image_name
        from rsn.io.images import read_image

        paths = [path for path in files_below(self.images) if is_image_name(path.name)]
        if not paths:
            raise RsnError(f"{self.images}: there is no folder of images; name one")
        if self.keypoint_threshold is not None:
            check_threshold("keypoint_threshold", self.keypoint_threshold)
        self.check_detector()
        check_writable(self.output)
        boxes, notes = self.box_source(), BoxNotes()
        estimator = PoseEstimator(
            self.model,
            detector=self.open_detector(),
            person_threshold=self.person_threshold,
            **self.backend_options(),
        )
        metadata = estimator.metadata
        threshold = metadata.keypoint_threshold if self.keypoint_threshold is None else self.keypoint_threshold
        names = list(metadata.skeleton.keypoint_names)
        limbs = [(names[a], names[b]) for a, b in metadata.skeleton.limbs]
        labels = Labels(str(self.images), self.images, names, limbs=limbs)
        results = estimator.stream(
            paths,
            lambda path: add_boxes(str(path), read_image(path), boxes, notes),
            keep_image=False,
        )
        for path, result in track(results, total=len(paths), unit="image"):
            if isinstance(result, RsnError):
                info(str(result))
            else:
                name = path.relative_to(self.images).as_posix()
                labels.images.append(image_from_result(name, result, threshold))
        write_labels(labels, self.output)
        people = sum(1 for _ in labels.people())
        info(f"wrote {self.output}: {people} people in {len(labels.images)} images, {len(paths)} were read")
        if sentence := notes.sentence():
            info(sentence)
        return 0 if len(labels.images) == len(paths) else 1
