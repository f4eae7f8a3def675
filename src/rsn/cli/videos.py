"""The videos of rsn predict."""

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
    options: DrawOptions,
    *,
    print_json: bool,
) -> bool:
    """Predict videos and write NAME_poses.mp4, .jsonl and .csv of each; returns whether all were complete.

    Raises:
        KeyboardInterrupt: the user has stopped it; the finished frames are written.
    """
    from rsn.io.files import unique_names
    from rsn.video.reading import open_frames, stem_of
    from rsn.video.run import predict_video

    backend = f"by {estimator.backend} on {estimator.device}"
    names = unique_names(f"{stem_of(source)}_poses" for source in sources)
    complete = True
    with _until_interrupted() as stopped:
        for source, name in zip(sources, names, strict=True):
            try:
                frames = open_frames(source, settings)
                results = predict_video(estimator, frames, boxes, folder, name, settings, options)
                counts = _run(frames, results, stopped, print_json=print_json)
            except RsnError as error:
                info(str(error))
                complete = False
            else:
                info(f"{counts}, {backend}; {folder / name}.mp4, .jsonl and .csv")
                for message in _problems(frames):
                    info(f"{frames.name}: {message}")
                complete &= frames.corrupt == 0 and frames.error is None
            if stopped.is_set():
                raise KeyboardInterrupt
    return complete


def _run(frames: "FrameSource", results: "Generator[FrameResult]", stopped: Event, *, print_json: bool) -> str:
    """Process one video; returns the number of people and frames as text."""
    from rsn.video.writing import to_entry

    count, ids = 0, set[int]()
    with closing(results):
        for result in track(results, total=frames.expected, unit="frame"):
            count += 1
            ids.update(person.track_id or 0 for person in result.people)
            if print_json:
                print(json.dumps(to_entry(result.frame, result.people)), flush=True)
            if stopped.is_set():
                break
    return f"people: {len(ids)}, frames: {count}"


def _problems(frames: "FrameSource") -> Iterator[str]:
    if frames.corrupt:
        yield f"{frames.corrupt} frames could not be decoded and were skipped"
    if frames.error:
        yield f"ended early: {frames.error}; the frames before are written"
    yield from frames.warnings


@contextmanager
def _until_interrupted() -> Iterator[Event]:
    """An event that the first Ctrl-C sets, so that files can be completed; the second one stops at once."""
    stopped = Event()

    def stop(*_: Any) -> None:
        stopped.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)
