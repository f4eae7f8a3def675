"""rsn predict: photos and videos in, skeletons out."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from rsn.cli.finding import FindingOptions
from rsn.cli.progress import say, track
from rsn.errors import RsnError
from rsn.inference.engines import Choice
from rsn.inference.style import Style
from rsn.inference.video.settings import VideoSettings
from rsn.inference.video.sources import is_video

if TYPE_CHECKING:
    from rsn.inference.boxes import BoxSource
    from rsn.inference.estimator import PoseEstimator


@dataclass(frozen=True)
class Predict(FindingOptions):
    """Find the joints of people in photos and videos.

    Writes a picture of each photo and poses.json; of each video NAME_poses.mp4, .jsonl and .csv.
    """

    sources: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PHOTO|VIDEO...")]
    """Photos, or folders of photos; videos, their URLs, or cameras (camera:0, or 0)."""
    model: str = "rsn18.starter"
    """Name of weights, or a weights file."""
    output: Path = Path("out")
    """Folder for what is written; made where it does not exist."""
    json: bool = False
    """Also print the results to stdout; of a video one line a frame, while it runs."""
    flip: bool = False
    """Look at each person mirrored too: twice the time, a little more precise."""
    engine: Choice = "auto"
    """What runs the network; auto takes the fastest that is installed and as exact as PyTorch."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes CUDA, else MPS, where there is one."""
    batch_size: int = 32
    """People that the network looks at together."""

    video: Annotated[VideoSettings, tyro.conf.arg(name="")] = field(default_factory=VideoSettings)
    """Of videos alone."""
    draw: Style = field(default_factory=Style)
    """What is drawn."""

    def run(self) -> int:
        """Exit status: 0 when every photo, and every frame of every video, was done."""
        from rsn.cli.videos import predict_videos
        from rsn.files import make_folder
        from rsn.images import find_images
        from rsn.inference.estimator import PoseEstimator

        if not self.sources:
            raise RsnError("name at least one photo or video, or a folder of photos")
        self.check_detector()
        self.video.check()
        videos = [source for source in self.sources if is_video(source, folders=self.video.fps is not None)]
        paths = find_images([Path(source) for source in self.sources if source not in videos])
        boxes = self.box_source(self.device)
        estimator = PoseEstimator(
            self.model,
            engine=self.engine,
            device=self.device,
            person_threshold=self.person_threshold,
            flip=self.flip,
            batch_size=self.batch_size,
        )
        make_folder(self.output)
        done = self._predict_photos(estimator, paths, boxes) if paths else True
        if videos:
            done &= predict_videos(
                estimator,
                videos,
                boxes,
                self.output,
                self.video,
                self.draw,
                detected=self.boxes == "detect",
                print_json=self.json,
            )
        return 0 if done else 1

    def _predict_photos(self, estimator: "PoseEstimator", paths: list[Path], boxes: "BoxSource") -> bool:
        """Whether every photo was done."""
        from rsn.inference.box_checks import BoxNotes
        from rsn.inference.boxes import BoxFile
        from rsn.inference.photos import predict_photos, results, write_results

        failed: list[Path] = []

        def report(path: Path, error: RsnError) -> None:
            failed.append(path)
            say(str(error))

        if isinstance(boxes, BoxFile):
            boxes.check_apart(paths)
        detected = self.boxes == "detect"
        notes = BoxNotes()
        photos = predict_photos(
            estimator, paths, boxes, self.output, report, detected=detected, style=self.draw, notes=notes
        )
        done = [(photo.path, photo.people) for photo in track(photos, total=len(paths), unit="photo")]
        entries = results(done, estimator.card.skeleton)
        if done:
            written = write_results(entries, self.output)
            by = f"by {estimator.engine} on {estimator.device}"
            say(f"people: {len(entries)}, photos: {len(done)}, {by}; {written} and the pictures beside it")
        if said := notes.sentence():
            say(said)
        if failed:
            say(f"{len(failed)} of {len(paths)} photos could not be done")
        if self.json:
            print(json.dumps(entries))
        return not failed
