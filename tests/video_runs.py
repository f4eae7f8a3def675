"""Videos through the command and through the functions behind it."""

import json
import subprocess
from pathlib import Path

from command import WHOLE, rsn
from rsn.inference.box_sources import BoxSource, whole_image_boxes
from rsn.inference.estimator import PoseEstimator
from rsn.video.reading import open_frames
from rsn.video.run import FrameResult, predict_video
from rsn.video.settings import VideoSettings

SECOND = [i / 25 for i in range(25)]  # when the frames of a second are shown


def predict(clip: object, weights: Path, out: Path, *options: object) -> subprocess.CompletedProcess[str]:
    return rsn("predict", clip, *WHOLE, "--model", weights, "--output", out, "--device", "cpu", *options)


def records(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def follow(
    estimator: PoseEstimator,
    source: object,
    folder: Path,
    settings: VideoSettings | None = None,
    boxes: BoxSource = whole_image_boxes,
) -> list[FrameResult]:
    settings = settings or VideoSettings()
    return list(predict_video(estimator, open_frames(str(source), settings), boxes, folder, "out", settings))
