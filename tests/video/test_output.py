"""Output of videos: times, rotation, colors, audio, selection; several sources at once."""

import csv
import json
import re
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from clips import heard, shown, turn, write_clip
from command import WHOLE, rsn
from rsn.inference.box_sources import whole_image_boxes
from rsn.inference.estimator import PoseEstimator
from rsn.video.reading import open_frames
from rsn.video.run import predict_video
from rsn.video.settings import VideoSettings
from video_runs import SECOND, follow, predict, records

UNEVEN = [0.0, 0.04, 0.05, 0.3, 0.32, 1.0, 1.01, 1.5]


def test_predict_writes_video_jsonl_and_csv(random_weights: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "walk.mp4", times=SECOND, sound="aac")
    done = predict(clip, random_weights, tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "walk_poses.mp4", "walk_poses.jsonl", "walk_poses.csv",
    }  # fmt: skip
    lines = records(tmp_path / "out/walk_poses.jsonl")
    assert [json.loads(line) for line in done.stdout.splitlines()] == lines
    assert [(line["frame"], line["seconds"]) for line in lines] == list(enumerate(SECOND))
    assert [one["track_id"] for line in lines for one in line["people"]] == [1] * 25
    with open(tmp_path / "out/walk_poses.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[7]["left_wrist_x"]) == lines[7]["people"][0]["keypoints"][27]
    assert rows[7]["left_wrist_std"] == ""  # the weights have no calibration
    times, images = shown(tmp_path / "out/walk_poses.mp4")
    assert times == pytest.approx(SECOND)
    assert images[0].shape == (120, 160, 3)
    assert heard(tmp_path / "out/walk_poses.mp4") == pytest.approx(heard(clip), abs=1e-3)
    assert re.search(r"people: 1, frames: 25, by \w+ on cpu; ", done.stderr)


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_variable_frame_rate_is_kept(estimator: PoseEstimator, tmp_path: Path, kind: str) -> None:
    clip = write_clip(tmp_path / f"uneven.{kind}", times=UNEVEN)
    moments = follow(estimator, clip, tmp_path)
    assert [moment.frame.seconds for moment in moments] == pytest.approx(UNEVEN, abs=1e-3)
    assert shown(tmp_path / "out.mp4")[0] == pytest.approx(UNEVEN, abs=1e-3)


def test_rotated_video_is_turned_upright(estimator: PoseEstimator, tmp_path: Path) -> None:
    def corner(second: float) -> np.ndarray:
        image = np.full((120, 160, 3), 60, np.uint8)
        image[:30, :40] = (250, 30, 30)
        return image

    clip = write_clip(tmp_path / "turned.mp4", times=SECOND[:3], pixels=corner)
    turn(clip)
    frame = follow(estimator, clip, tmp_path)[0].frame
    assert frame.image.shape == (160, 120, 3)
    written = shown(tmp_path / "out.mp4")[1][0]
    for upright in (frame.image, written):  # rotated clockwise: the top left corner is now top right
        assert np.abs(upright[20, 105].astype(int) - (250, 30, 30)).max() < 30
        assert np.abs(upright[140, 20].astype(int) - 60).max() < 30


def test_colors_are_kept(estimator: PoseEstimator, tmp_path: Path) -> None:
    clip = write_clip(
        tmp_path / "a.mp4", times=SECOND[:2], pixels=lambda _: np.full((64, 64, 3), (200, 90, 40), np.uint8)
    )
    moments = follow(estimator, clip, tmp_path, boxes=lambda path, image: (np.zeros((0, 4)), np.zeros(0)))
    before, after = (
        moments[1].frame.image[30, 30].astype(int),
        shown(tmp_path / "out.mp4")[1][1][30, 30].astype(int),
    )
    assert np.abs(before - (200, 90, 40)).max() < 12
    assert np.abs(after - before).max() < 6


def test_odd_sides_are_cropped_by_one_pixel(estimator: PoseEstimator, tmp_path: Path) -> None:
    folder = frames_in(tmp_path / "odd", size=(61, 75))
    follow(estimator, folder, tmp_path, VideoSettings(fps=10))
    assert shown(tmp_path / "out.mp4")[1][0].shape == (60, 74, 3)


def test_every_start_and_end_select_frames_and_audio(estimator: PoseEstimator, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", times=[i / 25 for i in range(75)], sound="aac")
    moments = follow(estimator, clip, tmp_path, VideoSettings(every=5, start=1.0, end=2.0))
    assert [moment.frame.number for moment in moments] == [25, 30, 35, 40, 45]
    assert [moment.frame.seconds for moment in moments] == pytest.approx([1.0, 1.2, 1.4, 1.6, 1.8], abs=1e-3)
    assert shown(tmp_path / "out.mp4")[0] == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8], abs=1e-3)
    sound = heard(tmp_path / "out.mp4")
    assert 0 <= sound[0] < 0.03
    assert 0.9 < sound[-1] < 1.0


def test_unsupported_audio_is_left_out_with_warning(estimator: PoseEstimator, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.avi", times=SECOND[:5], codec="mpeg4", sound="adpcm_ms")
    settings = VideoSettings()
    source = open_frames(str(clip), settings)
    assert len(list(predict_video(estimator, source, whole_image_boxes, tmp_path, "out", settings))) == 5
    assert source.warnings == ["the audio (adpcm_ms) is not supported by MP4 and was left out"]
    assert heard_nothing(tmp_path / "out.mp4")


def heard_nothing(path: Path) -> bool:
    with av.open(str(path)) as file:
        return not file.streams.audio


def frames_in(folder: Path, size: tuple[int, int] = (64, 64)) -> Path:
    folder.mkdir()
    for number in range(4):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((*size, 3), 60 * number, np.uint8))
    return folder


def test_predict_takes_videos_images_and_folder_of_frames(image: Path, random_weights: Path, tmp_path: Path) -> None:
    clips = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        clips.append(write_clip(tmp_path / name / "same.mp4", times=SECOND[:3]))
    folder = frames_in(tmp_path / "shots")
    (folder / "2.png").write_bytes(b"broken")
    out = tmp_path / "out"
    done = rsn("predict", image, *clips, folder, "--fps", 10, *WHOLE, "--model", random_weights, "--output", out)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("shots: 1 frames could not be decoded and were skipped")
    names = {path.name for path in out.iterdir()}
    assert names > {"poses.json", "good_poses.jpg", "same_poses.mp4", "same_poses_2.mp4", "same_poses_2.csv"}
    assert [line["seconds"] for line in records(out / "shots_poses.jsonl")] == [0.0, 0.1, 0.3]
