"""Videos -> tracked people, frame by frame, and output files.

Decoding, detection with cropping, prediction, and drawing with encoding each run in a thread of their own, a few frames
ahead of the next one. The memory does not grow with the length of the video.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsn.errors import RsnError
from rsn.inference.box_checks import Boxes, BoxNotes, filter_boxes
from rsn.inference.box_sources import BoxSource
from rsn.inference.estimator import PoseEstimator
from rsn.inference.pipeline import ImageInput
from rsn.inference.prefetch import prefetch
from rsn.oks import deduplicate
from rsn.results import PoseResult
from rsn.tracking.smoothing import Smoother
from rsn.tracking.tracker import Tracker
from rsn.video.frames import Frame, FrameSource, VideoError
from rsn.video.settings import VideoSettings
from rsn.video.writing import open_outputs
from rsn.visualization.drawing import draw
from rsn.visualization.options import DrawOptions

QUEUE_LENGTH = 4  # frames between two threads
MIN_KEYPOINTS = 4  # above the threshold, for a person to be followed to the next frame


@dataclass(frozen=True, eq=False)
class FrameResult:
    """A frame and the persons in it, with track IDs."""

    frame: Frame
    people: PoseResult


def predict_video(
    estimator: PoseEstimator,
    source: FrameSource,
    boxes: BoxSource | None,
    folder: Path,
    name: str,
    settings: VideoSettings,
    options: DrawOptions | None = None,
) -> Generator[FrameResult]:
    """Estimate a video and write folder/NAME.mp4, NAME.jsonl and NAME.csv; yields each frame that was written.

    Closed early, it ends the files at that frame. After an error there are none. The source is closed in the end.

    boxes: where the persons are; None lets the estimator's detector find them.

    Raises:
        RsnError: a file cannot be written.
        VideoError: the video has no frame.
        AnnotationError: a file of boxes that lacks a frame, or of which no box can be used.
    """
    seen = False
    with (
        closing(source),  # last, because the audio is copied from it
        closing(prefetch(video_people(estimator, source, boxes, settings), ahead=QUEUE_LENGTH)) as results,
        open_outputs(folder, name, source, estimator.metadata.skeleton) as (video, records),
    ):
        for result in results:
            seen = True
            drawn = draw(result.frame.image, result.people, options)
            video.write(drawn, result.frame.seconds - settings.start, result.frame.duration)
            records.write(result.frame, result.people)
            try:
                yield result
            except GeneratorExit:  # the caller stops; what is done is kept
                video.stop_audio()
                break
        if not seen:
            raise VideoError(_no_frames(source, settings))
    if video.skipped_audio:
        source.warnings.append(f"the audio ({video.skipped_audio}) is not supported by MP4 and was left out")


def video_people(
    estimator: PoseEstimator, source: FrameSource, boxes: BoxSource | None, settings: VideoSettings
) -> Generator[FrameResult]:
    """Persons of a video, tracked and smoothed, frame after frame; `boxes` as in `predict_video`.

    Raises:
        AnnotationError: a file of boxes that lacks a frame, or of which no box can be used.
    """
    notes = BoxNotes()
    threshold = estimator.metadata.keypoint_threshold
    tracker = Tracker(estimator.metadata.skeleton, settings.tracking, keypoint_threshold=threshold)
    smoother = Smoother(settings.smoothing, keypoint_threshold=threshold)
    with closing(prefetch(source.frames(), ahead=QUEUE_LENGTH)) as frames:
        if settings.detect_every == 1:
            found = _every_frame(estimator, frames, boxes, notes)
        else:
            found = _between_detections(estimator, frames, boxes, settings.detect_every, tracker, notes)
        for frame, people in found:
            # Several given boxes may lead to the same person.
            people = people if boxes is None else deduplicate(people)
            tracked = tracker(people, frame.seconds)
            yield FrameResult(frame, smoother(tracked, frame.seconds))
    notes.check(source.name)
    if remarks := notes.sentence():
        source.warnings.append(remarks)


def _every_frame(
    estimator: PoseEstimator, frames: Iterable[Frame], boxes: BoxSource | None, notes: BoxNotes
) -> Iterator[tuple[Frame, PoseResult]]:
    """Persons in the boxes of every frame, in batches across frames."""

    def read(frame: Frame) -> ImageInput:
        return ImageInput(frame.image, None if boxes is None else _given(frame, boxes, notes))

    for frame, people in estimator.stream(frames, read, threads=1, keep_image=False):
        if isinstance(people, RsnError):
            raise people
        yield frame, people


def _between_detections(
    estimator: PoseEstimator,
    frames: Iterable[Frame],
    boxes: BoxSource | None,
    every: int,
    tracker: Tracker,
    notes: BoxNotes,
) -> Iterator[tuple[Frame, PoseResult]]:
    """Persons in the boxes of every Nth frame, and in between where the tracker expects those of the frame before.

    Every frame needs the poses of the one before it, so a batch is the persons of one frame.
    """
    for count, frame in enumerate(frames):
        if count % every:
            found = _expected_boxes(frame, tracker)
        elif boxes is None:
            found = estimator.detect(frame.image)
        else:
            found = _given(frame, boxes, notes)
        crops = estimator.preprocess(frame.image, *found, detected=boxes is None, keep_image=False)
        (people,) = estimator.predict([crops])
        yield frame, people


def _given(frame: Frame, boxes: BoxSource, notes: BoxNotes) -> Boxes:
    """The boxes of a frame that can be used."""
    bboxes, scores, about = filter_boxes(*boxes(frame.path, frame.image), frame.image.shape[:2])
    notes.add(about)
    return bboxes, scores


def _expected_boxes(frame: Frame, tracker: Tracker) -> Boxes:
    """The boxes, in this frame, of persons with enough keypoints in the frame before."""
    people = [
        person
        for person in tracker.predict(frame.seconds)
        if np.count_nonzero(person.scores >= tracker.keypoint_threshold) >= MIN_KEYPOINTS
    ]
    bboxes, scores = [person.bbox for person in people], [person.box_score for person in people]
    return filter_boxes(bboxes, scores, frame.image.shape[:2])[:2]


def _no_frames(source: FrameSource, settings: VideoSettings) -> str:
    if source.error:
        return f"{source.name}: no frames, {source.error}"
    if source.corrupt:
        return f"{source.name}: none of its {source.corrupt} frames can be decoded; copy or download it again"
    return f"{source.name} has no frame between {settings.start:g} and {settings.end:g} seconds; choose other times"
