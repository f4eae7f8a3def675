"""Invalid videos and settings: one sentence each, and no files."""

import signal
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from clips import write_clip
from command import WHOLE, rsn, rsn_process
from rsn.errors import AnnotationError, RsnError
from rsn.inference.estimator import PoseEstimator
from rsn.tracking.settings import Smoothing, Tracking
from rsn.video.settings import VideoSettings
from video_runs import SECOND, follow


def one_sentence(done: subprocess.CompletedProcess[str], *parts: str) -> bool:
    lines = done.stderr.splitlines()
    return len(lines) == 1 and all(part in lines[0] for part in parts)


def test_predict_rejects_invalid_videos(random_weights: Path, tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4", times=SECOND)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    write_clip(tmp_path / "song.mp4", times=SECOND, sound="aac", images=False)
    told = {
        tmp_path / "missing.mp4": "there is no video at",
        tmp_path / "empty.mp4": "is an empty file",
        tmp_path / "text.mp4": "is not a video that can be read",
        tmp_path / "cut.mp4": "or its end is missing",
        tmp_path / "song.mp4": "has no video stream, only audio",
        "camera:77": "cannot open camera 77 (/dev/video77): No such file or directory",
        "http://127.0.0.1:9/a.mp4": "cannot open http://127.0.0.1:9/a.mp4: Connection refused",
        "rtsp://127.0.0.1:9/a": "cannot open rtsp://127.0.0.1:9/a: Connection refused",
        whole: "has no frame between 60 and inf seconds",
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


def test_full_disk_leaves_no_files(random_weights: Path, tmp_path: Path) -> None:
    import resource

    def noise(second: float) -> np.ndarray:
        return np.random.default_rng(round(second * 25)).integers(0, 255, (120, 160, 3)).astype(np.uint8)

    def little_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write past the limit fails like one to a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    clip = write_clip(tmp_path / "a.mp4", times=SECOND, pixels=noise)
    done = rsn_process(
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
        (VideoSettings(every=0), "Invalid --every"),
        (VideoSettings(detect_every=-1), "Invalid --detect-every"),
        (VideoSettings(start=2, end=1), "got 2 and 1"),
        (VideoSettings(start=float("nan")), "got nan and inf"),
        (VideoSettings(fps=0), "--fps"),
        (VideoSettings(tracking=Tracking(min_similarity=2)), "similarity"),
        (VideoSettings(tracking=Tracking(max_gap=-1)), "gap"),
        (VideoSettings(smoothing=Smoothing(min_cutoff=0)), "Invalid smoothing"),
    ],
)
def test_invalid_settings_are_rejected(settings: VideoSettings, says: str) -> None:
    with pytest.raises(RsnError, match=says):
        settings.check()


def test_invalid_box_ends_video_and_threads(estimator: PoseEstimator, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", times=SECOND)
    before = threading.active_count()
    with pytest.raises(AnnotationError, match="none of its boxes can be used"):
        follow(estimator, clip, tmp_path, boxes=lambda path, image: (np.array([[0.0, 0, 0, 5]]), np.ones(1)))
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert threading.active_count() == before
