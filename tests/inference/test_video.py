"""Videos through the real command: times, turns, sound, cuts, bounds, and a sentence for each that cannot be."""

import csv
import json
import re
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

import drawn_detectors
from clips import break_packet, heard, shown, turn, write_clip
from command import WHOLE, rsn
from moving_people import Walker
from rsn.errors import AnnotationError, RsnError
from rsn.inference.boxes import BoxFile, whole_image
from rsn.inference.estimator import PoseEstimator
from rsn.inference.pipeline import made_ahead
from rsn.inference.video.reading import open_frames
from rsn.inference.video.run import predict_video, video_people
from rsn.inference.video.settings import Smoothing, Tracking, VideoSettings
from rsn.people import Person

SECOND = [i / 25 for i in range(25)]
UNEVEN = [0.0, 0.04, 0.05, 0.3, 0.32, 1.0, 1.01, 1.5]


@pytest.fixture(scope="module")
def estimator(random_weights: Path) -> PoseEstimator:
    return PoseEstimator(random_weights, batch_size=4, device="cpu")


def predict(clip: object, weights: Path, out: Path, *options: object) -> subprocess.CompletedProcess[str]:
    return rsn("predict", clip, *WHOLE, "--model", weights, "--output", out, "--device", "cpu", *options)


def records(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# What comes out.


def test_a_video_becomes_a_video_and_two_tables(random_weights: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "walk.mp4", times=SECOND, sound="aac")
    done = predict(clip, random_weights, tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "walk_poses.mp4", "walk_poses.jsonl", "walk_poses.csv",
    }  # fmt: skip
    lines = records(tmp_path / "out/walk_poses.jsonl")
    assert [json.loads(line) for line in done.stdout.splitlines()] == lines
    assert [(line["frame"], line["seconds"]) for line in lines] == list(enumerate(SECOND))
    assert [one["id"] for line in lines for one in line["people"]] == [1] * 25
    with open(tmp_path / "out/walk_poses.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[7]["left_wrist_x"]) == lines[7]["people"][0]["keypoints"][9][0]
    times, pictures = shown(tmp_path / "out/walk_poses.mp4")
    assert times == pytest.approx(SECOND)
    assert pictures[0].shape == (120, 160, 3)
    assert heard(tmp_path / "out/walk_poses.mp4") == pytest.approx(heard(clip), abs=1e-3)
    assert re.search(r"people: 1, frames: 25, by \w+ on cpu; ", done.stderr)


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_a_variable_rate_stays_one(estimator: PoseEstimator, tmp_path: Path, kind: str) -> None:
    clip = write_clip(tmp_path / f"uneven.{kind}", times=UNEVEN)
    moments = follow(estimator, clip, tmp_path)
    assert [moment.frame.seconds for moment in moments] == pytest.approx(UNEVEN, abs=1e-3)
    assert shown(tmp_path / "out.mp4")[0] == pytest.approx(UNEVEN, abs=1e-3)


def test_a_turned_video_is_seen_upright(estimator: PoseEstimator, tmp_path: Path) -> None:
    def corner(second: float) -> np.ndarray:
        image = np.full((120, 160, 3), 60, np.uint8)
        image[:30, :40] = (250, 30, 30)
        return image

    clip = write_clip(tmp_path / "turned.mp4", times=SECOND[:3], picture=corner)
    turn(clip)
    frame = follow(estimator, clip, tmp_path)[0].frame
    assert frame.image.shape == (160, 120, 3)
    written = shown(tmp_path / "out.mp4")[1][0]
    for upright in (frame.image, written):  # clockwise: what was top left is top right
        assert np.abs(upright[20, 105].astype(int) - (250, 30, 30)).max() < 30
        assert np.abs(upright[140, 20].astype(int) - 60).max() < 30


def test_colours_survive(estimator: PoseEstimator, tmp_path: Path) -> None:
    clip = write_clip(
        tmp_path / "a.mp4", times=SECOND[:2], picture=lambda _: np.full((64, 64, 3), (200, 90, 40), np.uint8)
    )
    moments = follow(estimator, clip, tmp_path, boxes=lambda path, image: (np.zeros((0, 4)), np.zeros(0)))
    before, after = (
        moments[1].frame.image[30, 30].astype(int),
        shown(tmp_path / "out.mp4")[1][1][30, 30].astype(int),
    )
    assert np.abs(before - (200, 90, 40)).max() < 12
    assert np.abs(after - before).max() < 6


def test_odd_sides_are_cut_by_a_pixel(estimator: PoseEstimator, tmp_path: Path) -> None:
    folder = frames_in(tmp_path / "odd", size=(61, 75))
    follow(estimator, folder, tmp_path, VideoSettings(fps=10))
    assert shown(tmp_path / "out.mp4")[1][0].shape == (60, 74, 3)


def test_every_start_and_end(estimator: PoseEstimator, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", times=[i / 25 for i in range(75)], sound="aac")
    moments = follow(estimator, clip, tmp_path, VideoSettings(every=5, start=1.0, end=2.0))
    assert [moment.frame.number for moment in moments] == [0, 5, 10, 15, 20]
    assert [moment.frame.seconds for moment in moments] == pytest.approx([1.0, 1.2, 1.4, 1.6, 1.8], abs=1e-3)
    assert shown(tmp_path / "out.mp4")[0] == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8], abs=1e-3)
    sound = heard(tmp_path / "out.mp4")
    assert 0 <= sound[0] < 0.03
    assert 0.9 < sound[-1] < 1.0


def test_sound_that_mp4_cannot_hold_is_left_out_and_told(estimator: PoseEstimator, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.avi", times=SECOND[:5], codec="mpeg4", sound="adpcm_ms")
    settings = VideoSettings()
    source = open_frames(str(clip), settings)
    assert len(list(predict_video(estimator, source, whole_image, tmp_path, "out", settings))) == 5
    assert source.notes == ["its sound (adpcm_ms) does not fit into an MP4 and was left out"]
    assert heard_nothing(tmp_path / "out.mp4")


def heard_nothing(path: Path) -> bool:
    import av

    with av.open(str(path)) as file:
        return not file.streams.audio


def frames_in(folder: Path, size: tuple[int, int] = (64, 64)) -> Path:
    folder.mkdir()
    for number in range(4):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((*size, 3), 60 * number, np.uint8))
    return folder


def test_videos_photos_and_a_folder_of_frames_together(
    photo: Path, random_weights: Path, tmp_path: Path
) -> None:
    clips = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        clips.append(write_clip(tmp_path / name / "same.mp4", times=SECOND[:3]))
    folder = frames_in(tmp_path / "shots")
    (folder / "2.png").write_bytes(b"broken")
    out = tmp_path / "out"
    done = rsn(
        "predict", photo, *clips, folder, "--fps", 10, *WHOLE, "--model", random_weights, "--output", out
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("shots: 1 frames could not be decoded and were left out")
    names = {path.name for path in out.iterdir()}
    assert names > {"poses.json", "good_poses.jpg", "same_poses.mp4", "same_poses_2.mp4", "same_poses_2.csv"}
    assert [line["seconds"] for line in records(out / "shots_poses.jsonl")] == [0.0, 0.1, 0.3]


# Boxes.


def test_boxes_of_a_file_go_by_frame_number(random_weights: Path, tmp_path: Path) -> None:
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
    found = [[one["box"] for one in line["people"]] for line in records(tmp_path / "out/a_poses.jsonl")]
    assert [len(people) for people in found] == [2, 1, 0, 1]


def test_a_detector_finds_the_people_of_each_frame(random_weights: Path, tmp_path: Path) -> None:
    (tmp_path / "shots").mkdir()
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"shots/{number}.png"), drawn_detectors.picture(2)[..., ::-1])
    detector = drawn_detectors.yolox(tmp_path / "yolox.onnx")
    options = ("--fps", 10, "--boxes", "detect", "--detector", detector)
    done = predict(tmp_path / "shots", random_weights, tmp_path / "out", *options)
    assert done.returncode == 0, done.stderr
    for line in records(tmp_path / "out/shots_poses.jsonl"):
        found = sorted((one["box"], one["id"]) for one in line["people"])
        np.testing.assert_allclose([box for box, _ in found], 2 * drawn_detectors.BOXES, atol=0.1)
        assert {number for _, number in found} == {1, 2}


def test_a_frame_without_boxes_in_the_file_is_an_error(estimator: PoseEstimator, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", times=SECOND[:4])
    (tmp_path / "boxes.json").write_text(json.dumps({"0": [], "1": []}))
    boxes = BoxFile.read(tmp_path / "boxes.json")
    with pytest.raises(AnnotationError, match=r"a\.mp4/2: .* has no boxes for it"):
        follow(estimator, clip, tmp_path, boxes=boxes)
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "boxes.json"}


class Truth(PoseEstimator):
    """An estimator that knows where the walker is, and moves those joints into a crop that lie outside of it.

    From the second `seen` on it finds none of them.
    """

    def __init__(self, weights: Path, walker: Walker, seen: float = 9) -> None:
        super().__init__(weights, device="cpu")
        self.walker, self.count, self.seen = walker, 0, seen

    def estimate(self, scenes):
        for scene in scenes:
            joints = self.walker.joints(self.count / 25)
            self.count += 1
            scores = np.full(17, 1.0 if self.count / 25 < self.seen else 0.5)
            # A crop shows some more than the box.
            low, high = scene.boxes[:, :2] - 8, scene.boxes[:, :2] + scene.boxes[:, 2:] + 8
            yield [
                Person.from_joints(box, np.clip(joints, a, b), scores, box_score=box_score)
                for box, a, b, box_score in zip(scene.boxes, low, high, scene.box_scores, strict=True)
            ]


def test_boxes_are_carried_between_detections(random_weights: Path, tmp_path: Path) -> None:
    walker = Walker(10, 10, height=100, speed=20)
    clip, asked = write_clip(tmp_path / "a.mp4", times=SECOND), []

    def detector(path: Path, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(int(path.name))
        joints = walker.joints(int(path.name) / 25)
        low, high = joints.min(0) - 5, joints.max(0) + 5
        return np.array([[*low, *(high - low)]]), np.array([0.5])

    settings = VideoSettings(detect_every=10, smoothing=Smoothing(min_cutoff=np.inf))
    moments = list(
        video_people(Truth(random_weights, walker), open_frames(str(clip), settings), detector, settings)
    )
    assert asked == [0, 10, 20]
    for number, moment in enumerate(moments):
        assert [tracked.id for tracked in moment.people] == [1]
        astray = moment.people[0].person.keypoints - walker.joints(number / 25)
        assert np.abs(astray).max() < 2.0
        assert moment.people[0].person.score == pytest.approx(0.5 * moment.people[0].person.scores.mean())


@pytest.mark.parametrize("gone", ["out of the picture", "not to be seen"])
def test_nobody_is_carried_who_is_gone(random_weights: Path, tmp_path: Path, gone: str) -> None:
    walker = Walker(60, 10, height=100, speed=400 if gone == "out of the picture" else 0)
    clip = write_clip(tmp_path / "a.mp4", times=SECOND)
    settings = VideoSettings(detect_every=100)
    estimator = Truth(random_weights, walker, seen=0.4 if gone == "not to be seen" else 9)
    boxes = walker.joints(0).min(0), np.ptp(walker.joints(0), axis=0)
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


def test_steps_overlap(random_weights: Path, tmp_path: Path) -> None:
    class Slow(PoseEstimator):
        def estimate_views(self, views_of_scenes):
            for _ in views_of_scenes:
                time.sleep(0.04)
                yield []

    def slow_boxes(path: Path, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        time.sleep(0.04)
        return whole_image(path, image)

    clip, settings = write_clip(tmp_path / "a.mp4", times=SECOND), VideoSettings()
    estimator = Slow(random_weights, engine="torch", device="cpu", batch_size=4)
    begun = time.perf_counter()
    assert len(list(video_people(estimator, open_frames(str(clip), settings), slow_boxes, settings))) == 25
    assert time.perf_counter() - begun < 0.8 * (25 * 0.04 + 25 * 0.04)


def test_batches_across_frames_do_not_change_the_answers(random_weights: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", times=SECOND[:7])

    def joints(batch: int) -> np.ndarray:
        estimator = PoseEstimator(random_weights, batch_size=batch, device="cpu")
        settings = VideoSettings()
        moments = video_people(estimator, open_frames(str(clip), settings), whole_image, settings)
        return np.array([moment.people[0].person.keypoints for moment in moments])

    np.testing.assert_allclose(joints(1), joints(5), atol=1e-2)


def follow(estimator, source, folder, settings=None, boxes=whole_image) -> list:
    settings = settings or VideoSettings()
    return list(predict_video(estimator, open_frames(str(source), settings), boxes, folder, "out", settings))


# Ends before the end.


def test_ctrl_c_leaves_valid_files(random_weights: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "long.mp4", times=[i / 25 for i in range(800)], sound="aac")
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-c",
        "from rsn.cli import main; main()",
        "predict",
        clip,
        *WHOLE,
        "--model",
        random_weights,
    ]
    with subprocess.Popen(
        [*map(str, command), "--output", str(out), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for _ in range(5):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert told.splitlines()[-1] == "rsn: stopped"
    assert {path.name for path in out.iterdir()} == {"long_poses.mp4", "long_poses.jsonl", "long_poses.csv"}
    times, _ = shown(out / "long_poses.mp4")
    assert 5 <= len(times) == len(records(out / "long_poses.jsonl")) < 800
    assert heard(out / "long_poses.mp4")[-1] <= times[-1] + 0.05


def test_whoever_stops_taking_keeps_what_is_done(estimator: PoseEstimator, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", times=SECOND)
    settings = VideoSettings()
    before = threading.active_count()
    moments = predict_video(
        estimator, open_frames(str(clip), settings), whole_image, tmp_path, "out", settings
    )
    for _ in range(3):
        next(moments)
    moments.close()
    assert len(shown(tmp_path / "out.mp4")[0]) == 3
    assert threading.active_count() == before


def test_a_broken_frame_is_left_out_and_a_cut_file_done_as_far_as_it_goes(
    random_weights: Path, tmp_path: Path
) -> None:
    broken = write_clip(tmp_path / "broken.mp4", times=SECOND)
    break_packet(broken, 12)
    cut = write_clip(tmp_path / "cut.mp4", times=[i / 25 for i in range(100)], movflags="faststart")
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    done = rsn("predict", broken, cut, *WHOLE, "--model", random_weights, "--output", tmp_path / "out")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[1].endswith("broken.mp4: 1 frames could not be decoded and were left out")
    assert lines[-1].endswith("the file is cut short, 4.0 seconds were to come; all until there is written")
    assert len(records(tmp_path / "out/broken_poses.jsonl")) == 24
    assert len(shown(tmp_path / "out/broken_poses.mp4")[0]) == 24
    assert 20 < len(records(tmp_path / "out/cut_poses.jsonl")) < 90


def test_a_stream_that_breaks_off_is_written_until_there(random_weights: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.ts", times=[i / 25 for i in range(100)])
    data = clip.read_bytes()

    class HalfOfIt(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), HalfOfIt)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    done = predict(f"http://127.0.0.1:{server.server_port}/live.ts", random_weights, tmp_path / "out")
    server.shutdown()
    assert done.returncode == 1, done.stderr
    assert "all until there is written" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(shown(tmp_path / "out/live_poses.mp4")[0]) > 20


# What cannot be done.


def one_sentence(done: subprocess.CompletedProcess[str], *parts: str) -> bool:
    lines = done.stderr.splitlines()
    return len(lines) == 1 and all(part in lines[0] for part in parts)


def test_each_of_those_that_are_no_videos_is_one_sentence(random_weights: Path, tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4", times=SECOND)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    write_clip(tmp_path / "song.mp4", times=SECOND, sound="aac", pictures=False)
    told = {
        tmp_path / "missing.mp4": "there is no video at",
        tmp_path / "empty.mp4": "is an empty file",
        tmp_path / "text.mp4": "is not a video that can be read",
        tmp_path / "cut.mp4": "or its end is missing",
        tmp_path / "song.mp4": "has no pictures in it, only audio",
        "camera:77": "camera 77 (/dev/video77) cannot be opened: No such file or directory",
        "http://127.0.0.1:9/a.mp4": "cannot be opened: Connection refused",
        "rtsp://127.0.0.1:9/a": "cannot be opened: Connection refused",
        whole: "has no frame from second 60 to second inf",
    }
    command = [
        "predict",
        *told,
        *WHOLE,
        "--model",
        random_weights,
        "--output",
        tmp_path / "out",
        "--start",
        60,
    ]
    done = rsn(*command)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == len(told), done.stderr
    for line, says in zip(lines, told.values(), strict=True):
        assert says in line
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_leaves_nothing(random_weights: Path, tmp_path: Path) -> None:
    import resource

    def noise(second: float) -> np.ndarray:
        return np.random.default_rng(round(second * 25)).integers(0, 255, (120, 160, 3)).astype(np.uint8)

    def little_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write past the limit fails like one to a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    clip = write_clip(tmp_path / "a.mp4", times=SECOND, picture=noise)
    done = rsn(
        "predict",
        clip,
        *WHOLE,
        "--model",
        random_weights,
        "--output",
        tmp_path / "out",
        preexec_fn=little_room,
    )
    assert done.returncode == 1
    assert one_sentence(done, "cannot write", "a_poses"), done.stderr
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (VideoSettings(every=0), "--every counts frames"),
        (VideoSettings(detect_every=-1), "--detect-every counts frames"),
        (VideoSettings(start=2, end=1), "from second 2 to second 1"),
        (VideoSettings(start=float("nan")), "from second nan"),
        (VideoSettings(fps=0), "--fps"),
        (VideoSettings(tracking=Tracking(min_similarity=2)), "similarity"),
        (VideoSettings(tracking=Tracking(max_gap=-1)), "gap"),
        (VideoSettings(smoothing=Smoothing(min_cutoff=0)), "smoothing needs"),
    ],
)
def test_settings_that_cannot_be(settings: VideoSettings, says: str) -> None:
    with pytest.raises(RsnError, match=says):
        settings.check()


def test_an_impossible_box_ends_a_video_and_its_threads(estimator: PoseEstimator, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", times=SECOND)
    before = threading.active_count()
    with pytest.raises(AnnotationError, match="no area"):
        follow(estimator, clip, tmp_path, boxes=lambda path, image: (np.array([[0.0, 0, 0, 5]]), np.ones(1)))
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert threading.active_count() == before


# The thread ahead.


def test_ahead_keeps_order_bounds_and_failures() -> None:
    made = []

    def items():
        for i in range(10):
            made.append(i)
            yield i
        raise ValueError("at the end")

    taking = made_ahead(items(), ahead=2)
    assert next(taking) == 0
    time.sleep(0.2)
    assert len(made) <= 5
    with pytest.raises(ValueError, match="at the end"):
        assert list(taking) == []
    assert made == list(range(10))


def test_ahead_closes_what_it_took_from() -> None:
    closed = []

    def items():
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    taking = made_ahead(items(), ahead=2)
    next(taking)
    taking.close()
    assert closed == [True]
