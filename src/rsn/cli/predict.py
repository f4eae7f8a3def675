"""rsn predict: estimate the poses in images and videos."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from rsn.cli.detection_options import DetectionOptions
from rsn.cli.progress import info, track
from rsn.errors import RsnError
from rsn.io.video_names import is_video
from rsn.video.settings import VideoSettings
from rsn.visualization.options import DrawOptions

if TYPE_CHECKING:
    from rsn.inference.box_sources import BoxSource
    from rsn.inference.estimator import PoseEstimator
    from rsn.results import PoseResult


@dataclass(frozen=True)
class Predict(DetectionOptions):
    """Estimate the poses of persons in images and videos.

    Writes a drawn image for each image, and poses.json; for each video NAME_poses.mp4, .jsonl and .csv.
    """

    sources: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE|VIDEO...")]
    """Images, folders of images, videos, URLs of videos, or cameras (camera:0, or 0)."""
    model: str = "rsn18.starter"
    """Name of weights, or a weights file."""
    output: Path = Path("out")
    """Folder for the results; created if it does not exist."""
    json: bool = False
    """Also print the results to stdout; for a video one line per frame, while it runs."""

    video: Annotated[VideoSettings, tyro.conf.arg(name="")] = field(default_factory=VideoSettings)
    """Videos only."""
    draw: DrawOptions = field(default_factory=DrawOptions)
    """What is drawn."""

    def run(self) -> int:
        """Exit status: 0 when every image, and every frame of every video, was done."""
        from rsn.cli.videos import predict_videos
        from rsn.inference.estimator import PoseEstimator
        from rsn.io.files import make_folder
        from rsn.io.images import find_images

        if not self.sources:
            raise RsnError("name at least one image or video, or a folder of images")
        self.check_detector()
        self.video.check()
        self.draw.check()
        videos = [source for source in self.sources if is_video(source, folders=self.video.fps is not None)]
        paths = find_images([Path(source) for source in self.sources if source not in videos])
        boxes = self.box_source()
        estimator = PoseEstimator(
            self.model,
            detector=self.open_detector(),
            person_threshold=self.person_threshold,
            **self.backend_options(),
        )
        if self.draw.uncertainty and estimator.metadata.uncertainty is None:
            raise RsnError(
                f"Invalid draw.uncertainty: expected weights with a calibration, got {self.model}; leave it out"
            )
        make_folder(self.output)
        done = self._predict_images(estimator, paths, boxes) if paths else True
        if videos:
            done &= predict_videos(estimator, videos, boxes, self.output, self.video, self.draw, print_json=self.json)
        return 0 if done else 1

    def _predict_images(self, estimator: "PoseEstimator", paths: list[Path], boxes: "BoxSource | None") -> bool:
        """Whether every image was done."""
        from rsn.inference.box_checks import BoxNotes
        from rsn.inference.box_sources import BoxFile
        from rsn.inference.images import predict_files, to_coco_results, write_results

        if isinstance(boxes, BoxFile):
            boxes.check_apart(paths)
        notes = BoxNotes()
        results = predict_files(estimator, paths, self.output, boxes=boxes, options=self.draw, notes=notes)
        done: list[tuple[Path, PoseResult]] = []
        for path, result in track(results, total=len(paths), unit="image"):
            if isinstance(result, RsnError):
                info(str(result))
            else:
                done.append((path, result))
        entries = to_coco_results(done)
        if done:
            written = write_results(entries, self.output)
            by = f"by {estimator.backend} on {estimator.device}"
            info(f"people: {len(entries)}, images: {len(done)}, {by}; {written} and the images beside it")
        if sentence := notes.sentence():
            info(sentence)
        if failed := len(paths) - len(done):
            info(f"{failed} of {len(paths)} images could not be done")
        if self.json:
            print(json.dumps(entries))
        return not failed
