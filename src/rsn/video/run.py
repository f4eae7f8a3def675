"""Videos -> people with ids, frame after frame, and the files that are left of them.

Decoding, finding boxes and cutting them out, estimating, and drawing with encoding each run in a thread of their own, a
few frames ahead of the next: a video of any length takes the memory of some dozen frames.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from rsn.inference.box_checks import BoxNotes
from rsn.inference.box_sources import BoxSource
from rsn.inference.estimator import ImageWithBoxes, PersonCrop, PoseEstimator
from rsn.inference.prefetch import ordered_map, prefetch
from rsn.oks import deduplicate
from rsn.results import Person
from rsn.tracking.smoothing import Smoother
from rsn.tracking.tracker import TrackedPerson, Tracker
from rsn.video.frames import Frame, FrameSource, VideoError
from rsn.video.settings import VideoSettings
from rsn.video.writing import outputs
from rsn.visualization.drawing import draw_result
from rsn.visualization.options import DrawOptions

WAITING = 4  # frames between two threads
BYTES_AT_ONCE = 200_000_000  # of the frames that one batch is made of
FEWEST_KEYPOINTS = 4  # found, of somebody who is still there


@dataclass(frozen=True, eq=False)
class FrameResult:
    """A frame and the people in it."""

    frame: Frame
    people: list[TrackedPerson]


def predict_video(
    estimator: PoseEstimator,
    source: FrameSource,
    boxes: BoxSource,
    folder: Path,
    name: str,
    settings: VideoSettings,
    style: DrawOptions | None = None,
    *,
    detection_boxes: bool = True,
) -> Generator[FrameResult]:
    """Estimate a video and write folder/NAME.mp4, NAME.jsonl and NAME.csv; yields what was written.

    detected: whether the boxes are those of a detector, see `PoseEstimator.select`.

    Closed early, it ends the files where they are. After an error there are none. The source is closed in the end.

    Raises:
        RsnError: a file cannot be written.
        VideoError: there was not one frame.
        AnnotationError: boxes that a file does not have, or of which not one can be looked at.
    """
    skeleton = estimator.metadata.skeleton
    style = (style or DrawOptions()).with_defaults(estimator.metadata.keypoint_threshold)
    if style.label == "auto":
        style = replace(style, label="id")
    seen = False
    with (
        closing(source),  # last, since the sound is copied from it
        closing(
            prefetch(
                video_people(estimator, source, boxes, settings, detection_boxes=detection_boxes),
                ahead=WAITING,
            )
        ) as moments,
        outputs(folder, name, source, skeleton) as (video, records),
    ):
        for moment in moments:
            seen = True
            people = [tracked.person for tracked in moment.people]
            ids = [tracked.id for tracked in moment.people]
            drawn = draw_result(moment.frame.image, people, skeleton, style, ids=ids)
            video.write(drawn, moment.frame.seconds - settings.start, moment.frame.lasts)
            records.write(moment.frame, moment.people)
            try:
                yield moment
            except GeneratorExit:  # whoever takes them has enough; what is done is kept
                video.cut_sound()
                break
        if not seen:
            raise VideoError(_nothing(source, settings))
    if video.skipped:
        source.notes.append(f"its sound ({video.skipped}) does not fit into an MP4 and was left out")


def video_people(
    estimator: PoseEstimator,
    source: FrameSource,
    boxes: BoxSource,
    settings: VideoSettings,
    *,
    detection_boxes: bool = True,
) -> Generator[FrameResult]:
    """People of a video, with ids and smoothed, frame after frame; `detection_boxes` as in `predict_video`.

    Raises:
        AnnotationError: boxes that a file does not have, or of which not one can be looked at.
    """
    notes = BoxNotes()
    threshold = estimator.metadata.keypoint_threshold
    tracker = Tracker(estimator.metadata.skeleton, settings.tracking, keypoint_threshold=threshold)
    smoother = Smoother(settings.smoothing, keypoint_threshold=threshold)
    with closing(prefetch(source.frames(), ahead=WAITING)) as frames:
        if settings.detect_every == 1:
            found = _every_frame(estimator, frames, boxes, notes, detection_boxes=detection_boxes)
        else:
            found = _carried(
                estimator,
                frames,
                boxes,
                settings.detect_every,
                tracker,
                notes,
                detection_boxes=detection_boxes,
            )
        for frame, people in found:
            tracked = tracker(people, frame.seconds)
            yield FrameResult(frame, smoother(tracked, frame.seconds))
    notes.check(source.name)
    if said := notes.sentence():
        source.notes.append(said)


def _every_frame(
    estimator: PoseEstimator,
    frames: Iterable[Frame],
    boxes: BoxSource,
    notes: BoxNotes,
    *,
    detection_boxes: bool,
) -> Iterator[tuple[Frame, list[Person]]]:
    """People where the boxes are, batches across frames."""

    def look(frame: Frame) -> tuple[Frame, list[PersonCrop]]:
        image_with_boxes, said = ImageWithBoxes.within(frame.image, *boxes(frame.path, frame.image))
        notes.add(said)
        return frame, estimator.preprocess(image_with_boxes)

    with closing(ordered_map(look, frames, threads=1, ahead=WAITING)) as looked:
        while first := next(looked, None):
            count = max(1, min(estimator.batch_size, BYTES_AT_ONCE // first[0].image.nbytes))
            group = [first, *islice(looked, count - 1)]
            found = estimator.predict_crops(views for _, views in group)
            for (frame, _), people in zip(group, found, strict=True):
                yield frame, _once(estimator, people, detection_boxes=detection_boxes)


def _carried(
    estimator: PoseEstimator,
    frames: Iterable[Frame],
    boxes: BoxSource,
    every: int,
    tracker: Tracker,
    notes: BoxNotes,
    *,
    detection_boxes: bool,
) -> Iterator[tuple[Frame, list[Person]]]:
    """People where the boxes are in every Nth frame, and between where the tracker expects those of the frame before.

    Every frame waits for the poses of the one before it, so that batches are the people of one frame.
    """
    for count, frame in enumerate(frames):
        if count % every == 0:
            image_with_boxes, said = ImageWithBoxes.within(frame.image, *boxes(frame.path, frame.image))
            notes.add(said)
        else:
            image_with_boxes = _expected_boxes(frame, tracker)
        (people,) = estimator.estimate([image_with_boxes])
        yield frame, _once(estimator, people, detection_boxes=detection_boxes)


def _expected_boxes(frame: Frame, tracker: Tracker) -> ImageWithBoxes:
    """The boxes, within the image, of people of whom enough keypoints were found in the frame before."""
    seen = [
        person
        for person in tracker.expected(frame.seconds)
        if np.count_nonzero(person.scores >= tracker.keypoint_threshold) >= FEWEST_KEYPOINTS
    ]
    boxes, scores = [person.box for person in seen], [person.box_score for person in seen]
    return ImageWithBoxes.within(frame.image, boxes, scores)[0]


def _once(estimator: PoseEstimator, people: list[Person], *, detection_boxes: bool) -> list[Person]:
    """The people that are reported, without duplicates: two given boxes may have led to the same person, too."""
    people = estimator.select(people, detection_boxes=detection_boxes)
    return people if detection_boxes else deduplicate(people, estimator.metadata.skeleton)


def _nothing(source: FrameSource, settings: VideoSettings) -> str:
    if source.trouble:
        return f"{source.name}: no frame came, {source.trouble}"
    if source.broken:
        return f"{source.name}: none of its {source.broken} frames can be decoded; copy or download it again"
    return (
        f"{source.name} has no frame from second {settings.start:g} to second {settings.end:g}; choose others"
    )
