"""People in videos: boxes of files and detectors, and boxes that follow poses."""

import json
import threading
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

import drawn_detectors
from clips import write_clip
from moving_people import Walker
from rsn.errors import AnnotationError
from rsn.inference.box_sources import BoxFile, whole_image_boxes
from rsn.inference.estimator import PoseEstimator
from rsn.inference.single_model import ImageCrops
from rsn.results import Person, PoseResult
from rsn.tracking.settings import Smoothing
from rsn.video.reading import open_frames
from rsn.video.run import video_people
from rsn.video.settings import VideoSettings
from video_runs import SECOND, follow, predict, records


def test_boxes_of_file_are_found_by_frame_number(random_weights: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", times=SECOND[:4])
    boxes = tmp_path / "boxes.json"
    listed = {
        "0": [[5, 5, 60, 100], [80, 5, 60, 100]],
        "1": [[5, 5, 60, 100]],
        "2": [],
        "3": [[6, 5, 60, 100]],
    }
    boxes.write_text(json.dumps(listed))
    done = predict(clip, random_weights, tmp_path / "out", "--boxes", boxes)
    assert done.returncode == 0, done.stderr
    found = [[one["bbox"] for one in line["people"]] for line in records(tmp_path / "out/a_poses.jsonl")]
    assert [len(people) for people in found] == [2, 1, 0, 1]


def test_detector_finds_people_of_each_frame(random_weights: Path, tmp_path: Path) -> None:
    (tmp_path / "shots").mkdir()
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"shots/{number}.png"), drawn_detectors.image(2)[..., ::-1])
    detector = drawn_detectors.yolox(tmp_path / "yolox.onnx")
    options = ("--fps", 10, "--boxes", "detect", "--detector", detector)
    done = predict(tmp_path / "shots", random_weights, tmp_path / "out", *options)
    assert done.returncode == 0, done.stderr
    for line in records(tmp_path / "out/shots_poses.jsonl"):
        found = sorted((one["bbox"], one["track_id"]) for one in line["people"])
        np.testing.assert_allclose([box for box, _ in found], 2 * drawn_detectors.BOXES, atol=0.1)
        assert {number for _, number in found} == {1, 2}


def test_frame_missing_in_box_file_is_rejected(estimator: PoseEstimator, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", times=SECOND[:4])
    (tmp_path / "boxes.json").write_text(json.dumps({"0": [], "1": []}))
    boxes = BoxFile.read(tmp_path / "boxes.json")
    with pytest.raises(AnnotationError, match=r"a\.mp4/2: .* has no boxes for it"):
        follow(estimator, clip, tmp_path, boxes=boxes)
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "boxes.json"}


@pytest.mark.parametrize("every", [1, 2])
def test_boxes_outside_frame_are_skipped_and_counted(estimator: PoseEstimator, tmp_path: Path, every: int) -> None:
    clip = write_clip(tmp_path / "a.mp4", times=SECOND[:4])
    here, far = [5, 5, 40, 30], [5000, 5, 40, 30]
    (tmp_path / "boxes.json").write_text(json.dumps({"0": [here, far], "1": [here], "2": [far], "3": [here]}))
    settings = VideoSettings(detect_every=every)
    source = open_frames(str(clip), settings)
    moments = video_people(estimator, source, BoxFile.read(tmp_path / "boxes.json"), settings)
    assert len(list(moments)) == 4
    assert [note for note in source.warnings if "boxes" in note] == [
        "boxes left out: 2 outside the image; boxes are x, y, width, height in pixels of the image at its full size"
    ]


def test_video_without_usable_box_is_rejected(estimator: PoseEstimator, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", times=SECOND[:4])
    (tmp_path / "boxes.json").write_text(json.dumps({str(frame): [[0.1, 0.2, 0.5, 0.5]] for frame in range(4)}))
    with pytest.raises(AnnotationError, match=r"a\.mp4: none of its boxes can be used; .*4 less than a pixel"):
        follow(estimator, clip, tmp_path, boxes=BoxFile.read(tmp_path / "boxes.json"))
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "boxes.json"}


class Truth(PoseEstimator):
    """An estimator that returns the walker's true keypoints, moved into the crop if they are outside.

    From the second `seen` on it finds none of them.
    """

    def __init__(self, weights: Path, walker: Walker, seen: float = 9) -> None:
        super().__init__(weights, device="cpu")
        self.walker, self.count, self.seen = walker, 0, seen

    def predict(self, images: Sequence[ImageCrops]) -> list[PoseResult]:
        return [self._person_in(image) for image in images]

    def _person_in(self, image: ImageCrops) -> PoseResult:
        keypoints = self.walker.keypoints(self.count / 25)
        self.count += 1
        scores = np.full(17, 1.0 if self.count / 25 < self.seen else 0.5)
        people = [
            # A crop shows a little more than the box.
            Person.from_keypoints(
                bbox, np.clip(keypoints, bbox[:2] - 8, bbox[:2] + bbox[2:] + 8), scores, box_score=score
            )
            for bbox, score in zip(image.bboxes, image.box_scores, strict=True)
        ]
        return PoseResult(tuple(people), self.metadata.skeleton, image.image_size)


def test_boxes_follow_poses_between_detections(random_weights: Path, tmp_path: Path) -> None:
    walker = Walker(10, 10, height=100, speed=20)
    clip, asked = write_clip(tmp_path / "a.mp4", times=SECOND), []

    def detector(path: Path, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(int(path.name))
        keypoints = walker.keypoints(int(path.name) / 25)
        low, high = keypoints.min(0) - 5, keypoints.max(0) + 5
        return np.array([[*low, *(high - low)]]), np.array([0.5])

    settings = VideoSettings(detect_every=10, smoothing=Smoothing(min_cutoff=np.inf))
    moments = list(video_people(Truth(random_weights, walker), open_frames(str(clip), settings), detector, settings))
    assert asked == [0, 10, 20]
    for number, moment in enumerate(moments):
        assert [tracked.track_id for tracked in moment.people] == [1]
        astray = moment.people[0].keypoints - walker.keypoints(number / 25)
        assert np.abs(astray).max() < 2.0
        assert moment.people[0].score == pytest.approx(0.5 * moment.people[0].scores.mean())


@pytest.mark.parametrize("gone", ["out of the image", "not to be seen"])
def test_lost_person_is_not_followed(random_weights: Path, tmp_path: Path, gone: str) -> None:
    walker = Walker(60, 10, height=100, speed=400 if gone == "out of the image" else 0)
    clip = write_clip(tmp_path / "a.mp4", times=SECOND)
    settings = VideoSettings(detect_every=100)
    estimator = Truth(random_weights, walker, seen=0.4 if gone == "not to be seen" else 9)
    boxes = walker.keypoints(0).min(0), np.ptp(walker.keypoints(0), axis=0)
    moments = list(
        video_people(
            estimator,
            open_frames(str(clip), settings),
            lambda path, image: (np.concatenate(boxes)[None], np.ones(1)),
            settings,
        )
    )
    counts = [len(moment.people) for moment in moments]
    assert counts[:5] == [1] * 5
    assert counts[16:] == [0] * 9


def test_next_frames_are_prepared_while_network_runs(random_weights: Path, tmp_path: Path) -> None:
    looked_ahead = threading.Event()

    class Waiting(PoseEstimator):
        """A network that finishes the first frame only after the boxes of the third were requested."""

        def predict(self, images: Sequence[ImageCrops]) -> list[PoseResult]:
            assert looked_ahead.wait(60)
            return super().predict(images)

    def boxes(path: Path, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if int(path.name) == 2:
            looked_ahead.set()
        return whole_image_boxes(path, image)

    clip, settings = write_clip(tmp_path / "a.mp4", times=SECOND[:8]), VideoSettings()
    estimator = Waiting(random_weights, backend="torch", device="cpu", batch_size=1)
    assert len(list(video_people(estimator, open_frames(str(clip), settings), boxes, settings))) == 8


def test_batch_size_does_not_change_results(random_weights: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", times=SECOND[:7])

    def keypoints(batch: int) -> np.ndarray:
        estimator = PoseEstimator(random_weights, batch_size=batch, device="cpu")
        settings = VideoSettings()
        moments = video_people(estimator, open_frames(str(clip), settings), whole_image_boxes, settings)
        return np.array([moment.people[0].keypoints for moment in moments])

    np.testing.assert_allclose(keypoints(1), keypoints(5), atol=1e-2)
