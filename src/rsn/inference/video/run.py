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
from rsn.inference.boxes import BoxSource
from rsn.inference.drawing import draw_scene
from rsn.inference.estimator import PoseEstimator, Scene, View
from rsn.inference.pipeline import in_order, made_ahead
from rsn.inference.smoothing import Smoother
from rsn.inference.style import Style
from rsn.inference.tracking import Tracked, Tracker
from rsn.inference.video.frames import Frame, FrameSource, VideoError
from rsn.inference.video.settings import VideoSettings
from rsn.inference.video.writing import outputs
from rsn.oks import deduplicate
from rsn.people import Person

WAITING = 4  # frames between two threads
BYTES_AT_ONCE = 200_000_000  # of the frames that one batch is made of
FEWEST_JOINTS = 4  # found, of somebody who is still there


@dataclass(frozen=True, eq=False)
class Moment:
    """A frame and the people in it."""

    frame: Frame
    people: list[Tracked]


def predict_video(
    estimator: PoseEstimator,
    source: FrameSource,
    boxes: BoxSource,
    folder: Path,
    name: str,
    settings: VideoSettings,
    style: Style | None = None,
    *,
    detected: bool = True,
) -> Generator[Moment]:
    """Estimate a video and write folder/NAME.mp4, NAME.jsonl and NAME.csv; yields what was written.

    detected: whether the boxes are those of a detector, see `PoseEstimator.select`.

    Closed early, it ends the files where they are. After an error there are none. The source is closed in the end.

    Raises:
        RsnError: a file cannot be written.
        VideoError: there was not one frame.
        AnnotationError: boxes that a file does not have, or of which not one can be looked at.
    """
    skeleton = estimator.card.skeleton
    style = (style or Style()).with_defaults(estimator.card.keypoint_threshold)
    if style.label == "auto":
        style = replace(style, label="id")
    seen = False
    with (
        closing(source),  # last, since the sound is copied from it
        closing(
            made_ahead(video_people(estimator, source, boxes, settings, detected=detected), ahead=WAITING)
        ) as moments,
        outputs(folder, name, source, skeleton) as (video, records),
    ):
        for moment in moments:
            seen = True
            people = [tracked.person for tracked in moment.people]
            ids = [tracked.id for tracked in moment.people]
            drawn = draw_scene(moment.frame.image, people, skeleton, style, ids=ids)
            video.write(drawn, moment.frame.seconds - settings.start, moment.frame.lasts)
            records.write(moment.frame, moment.people)
            try:
                yield moment
            except GeneratorExit:  # whoever takes them has enough; what is done is kept
                video.cut_sound()
                break
        if not seen:
            raise VideoError(_nothing(source, settings))
    if video.left_out:
        source.notes.append(f"its sound ({video.left_out}) does not fit into an MP4 and was left out")


def video_people(
    estimator: PoseEstimator,
    source: FrameSource,
    boxes: BoxSource,
    settings: VideoSettings,
    *,
    detected: bool = True,
) -> Generator[Moment]:
    """People of a video, with ids and smoothed, frame after frame; `detected` as in `predict_video`.

    Raises:
        AnnotationError: boxes that a file does not have, or of which not one can be looked at.
    """
    notes = BoxNotes()
    threshold = estimator.card.keypoint_threshold
    tracker = Tracker(estimator.card.skeleton, settings.tracking, keypoint_threshold=threshold)
    smoother = Smoother(settings.smoothing, keypoint_threshold=threshold)
    with closing(made_ahead(source.frames(), ahead=WAITING)) as frames:
        if settings.detect_every == 1:
            found = _every_frame(estimator, frames, boxes, notes, detected=detected)
        else:
            found = _carried(
                estimator, frames, boxes, settings.detect_every, tracker, notes, detected=detected
            )
        for frame, people in found:
            tracked = tracker(people, frame.seconds)
            yield Moment(frame, smoother(tracked, frame.seconds))
    notes.check(source.name)
    if said := notes.sentence():
        source.notes.append(said)


def _every_frame(
    estimator: PoseEstimator, frames: Iterable[Frame], boxes: BoxSource, notes: BoxNotes, *, detected: bool
) -> Iterator[tuple[Frame, list[Person]]]:
    """People where the boxes are, batches across frames."""

    def look(frame: Frame) -> tuple[Frame, list[View]]:
        scene, said = Scene.within(frame.image, *boxes(frame.path, frame.image))
        notes.add(said)
        return frame, estimator.preprocess(scene)

    with closing(in_order(look, frames, threads=1, ahead=WAITING)) as looked:
        while first := next(looked, None):
            count = max(1, min(estimator.batch_size, BYTES_AT_ONCE // first[0].image.nbytes))
            group = [first, *islice(looked, count - 1)]
            found = estimator.estimate_views(views for _, views in group)
            for (frame, _), people in zip(group, found, strict=True):
                yield frame, _once(estimator, people, detected=detected)


def _carried(
    estimator: PoseEstimator,
    frames: Iterable[Frame],
    boxes: BoxSource,
    every: int,
    tracker: Tracker,
    notes: BoxNotes,
    *,
    detected: bool,
) -> Iterator[tuple[Frame, list[Person]]]:
    """People where the boxes are in every Nth frame, and between where the tracker expects those of the frame before.

    Every frame waits for the poses of the one before it, so that batches are the people of one frame.
    """
    for count, frame in enumerate(frames):
        if count % every == 0:
            scene, said = Scene.within(frame.image, *boxes(frame.path, frame.image))
            notes.add(said)
        else:
            scene = _expected_scene(frame, tracker)
        (people,) = estimator.estimate([scene])
        yield frame, _once(estimator, people, detected=detected)


def _expected_scene(frame: Frame, tracker: Tracker) -> Scene:
    """The boxes, within the image, of people of whom enough keypoints were found in the frame before."""
    seen = [
        person
        for person in tracker.expected(frame.seconds)
        if np.count_nonzero(person.scores >= tracker.keypoint_threshold) >= FEWEST_JOINTS
    ]
    boxes, scores = [person.box for person in seen], [person.box_score for person in seen]
    return Scene.within(frame.image, boxes, scores)[0]


def _once(estimator: PoseEstimator, people: list[Person], *, detected: bool) -> list[Person]:
    """The people that are reported, without duplicates: two given boxes may have led to the same person, too."""
    people = estimator.select(people, detected=detected)
    return people if detected else deduplicate(people, estimator.card.skeleton)


def _nothing(source: FrameSource, settings: VideoSettings) -> str:
    if source.trouble:
        return f"{source.name}: no frame came, {source.trouble}"
    if source.broken:
        return f"{source.name}: none of its {source.broken} frames can be decoded; copy or download it again"
    return (
        f"{source.name} has no frame from second {settings.start:g} to second {settings.end:g}; choose others"
    )
