"""rsn predict: images and videos in, skeletons out."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from rsn.cli.detection_options import DetectionOptions
from rsn.cli.progress import info, track
from rsn.errors import RsnError
from rsn.inference.backends import BackendChoice
from rsn.video.settings import VideoSettings
from rsn.video.sources import is_video
from rsn.visualization.options import DrawOptions

if TYPE_CHECKING:
    from rsn.inference.box_sources import BoxSource
    from rsn.inference.estimator import PoseEstimator


@dataclass(frozen=True)
class Predict(DetectionOptions):
    """Find the keypoints of people in images and videos.

    Writes an image of each image and poses.json; of each video NAME_poses.mp4, .jsonl and .csv.
    """

    sources: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE|VIDEO...")]
    """Images, or folders of images; videos, their URLs, or cameras (camera:0, or 0)."""
    model: str = "rsn18.starter"
    """Name of weights, or a weights file."""
    output: Path = Path("out")
    """Folder for what is written; made where it does not exist."""
    json: bool = False
    """Also print the results to stdout; of a video one line a frame, while it runs."""
    flip: bool = False
    """Look at each person flipped too: twice the time, a little more precise."""
    backend: BackendChoice = "auto"
    """What runs the network; auto takes the fastest that is installed and as exact as PyTorch."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes CUDA, else MPS, where there is one."""
    batch_size: int = 32
    """People that the network looks at together."""

    video: Annotated[VideoSettings, tyro.conf.arg(name="")] = field(default_factory=VideoSettings)
    """Of videos alone."""
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
        videos = [source for source in self.sources if is_video(source, folders=self.video.fps is not None)]
        paths = find_images([Path(source) for source in self.sources if source not in videos])
        boxes = self.box_source(self.device)
        estimator = PoseEstimator(
            self.model,
            backend=self.backend,
            device=self.device,
            person_threshold=self.person_threshold,
            flip=self.flip,
            batch_size=self.batch_size,
        )
        make_folder(self.output)
        done = self._predict_images(estimator, paths, boxes) if paths else True
        if videos:
            done &= predict_videos(
                estimator,
                videos,
                boxes,
                self.output,
                self.video,
                self.draw,
                detection_boxes=self.boxes == "detect",
                print_json=self.json,
            )
        return 0 if done else 1

    def _predict_images(self, estimator: "PoseEstimator", paths: list[Path], boxes: "BoxSource") -> bool:
        """Whether every image was done."""
        from rsn.inference.box_checks import BoxNotes
        from rsn.inference.box_sources import BoxFile
        from rsn.inference.images import predict_image_files, results, write_results

        failed: list[Path] = []

        def report(path: Path, error: RsnError) -> None:
            failed.append(path)
            info(str(error))

        if isinstance(boxes, BoxFile):
            boxes.check_apart(paths)
        detection_boxes = self.boxes == "detect"
        notes = BoxNotes()
        images = predict_image_files(
            estimator,
            paths,
            boxes,
            self.output,
            report,
            detection_boxes=detection_boxes,
            style=self.draw,
            notes=notes,
        )
        done = [(image.path, image.people) for image in track(images, total=len(paths), unit="image")]
        entries = results(done, estimator.metadata.skeleton)
        if done:
            written = write_results(entries, self.output)
            by = f"by {estimator.backend} on {estimator.device}"
            info(f"people: {len(entries)}, images: {len(done)}, {by}; {written} and the images beside it")
        if said := notes.sentence():
            info(said)
        if failed:
            info(f"{len(failed)} of {len(paths)} images could not be done")
        if self.json:
            print(json.dumps(entries))
        return not failed
