"""The videos of rsn predict: one after the other, until they end or the user has enough."""

import json
import signal
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from rsn.cli.progress import info, track
from rsn.errors import RsnError
from rsn.video.settings import VideoSettings
from rsn.visualization.options import DrawOptions

if TYPE_CHECKING:
    from rsn.inference.box_sources import BoxSource
    from rsn.inference.estimator import PoseEstimator
    from rsn.video.frames import FrameSource
    from rsn.video.run import FrameResult


def predict_videos(
    estimator: "PoseEstimator",
    sources: Sequence[str],
    boxes: "BoxSource | None",
    folder: Path,
    settings: VideoSettings,
    style: DrawOptions,
    *,
    print_json: bool,
) -> bool:
    """Estimate videos and write NAME_poses.mp4, .jsonl and .csv of each; whether all were done from end to end.

    Raises:
        KeyboardInterrupt: the user has stopped it; what was done so far is written.
    """
    from rsn.io.files import unique_names
    from rsn.video.reading import open_frames, stem_of
    from rsn.video.run import predict_video

    by = f"by {estimator.backend} on {estimator.device}"
    names = unique_names(f"{stem_of(source)}_poses" for source in sources)
    with _until_interrupted() as stopped:
        done = []
        for source, name in zip(sources, names, strict=True):
            try:
                frames = open_frames(source, settings)
                moments = predict_video(estimator, frames, boxes, folder, name, settings, style)
                done.append(_follow(frames, moments, stopped, folder / name, by, print_json=print_json))
            except RsnError as error:
                info(str(error))
                done.append(False)
            if stopped.is_set():
                raise KeyboardInterrupt
    return all(done)


def _follow(
    frames: "FrameSource",
    moments: "Generator[FrameResult]",
    stopped: Event,
    place: Path,
    by: str,
    *,
    print_json: bool,
) -> bool:
    """Do one video, and say how it went; whether every frame of it was done."""
    from rsn.video.writing import as_record

    count, ids, seconds = 0, set[int](), 0.0
    with closing(moments):
        for moment in track(moments, total=frames.expected, unit="frame"):
            count, seconds = count + 1, moment.frame.seconds
            ids.update(person.track_id or 0 for person in moment.people)
            if print_json:
                print(json.dumps(as_record(moment.frame, moment.people)), flush=True)
            if stopped.is_set():
                break
    info(f"people: {len(ids)}, frames: {count}, {by}; {place}.mp4, .jsonl and .csv")
    if frames.broken:
        info(f"{frames.name}: {frames.broken} frames could not be decoded and were left out")
    if frames.trouble:
        info(
            f"{frames.name}: ended after {seconds:.1f} seconds, {frames.trouble}; all until there is written"
        )
    for note in frames.notes:
        info(f"{frames.name}: {note}")
    return frames.broken == 0 and frames.trouble is None


@contextmanager
def _until_interrupted() -> Iterator[Event]:
    """An event that the first Ctrl-C sets, so that files can be ended well; the second stops at once."""
    stopped = Event()

    def stop(*_: Any) -> None:
        stopped.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)
