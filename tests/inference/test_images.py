"""Prediction of image files: order, errors, memory and interruption."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rsn import PoseEstimator, PoseResult
from rsn.detection.starter import StarterDetector
from rsn.errors import ImageError, RsnError
from rsn.geometry import Image
from rsn.inference.box_sources import whole_image_boxes
from rsn.inference.images import predict_files
from rsn.inference.pipeline import CROPPED_AHEAD, GROUPS_AHEAD, TOGETHER, ImageInput
from rsn.inference.prefetch import ordered_map
from rsn.io.images import read_image
from rsn.visualization.heatmaps import image_heatmap
from rsn.visualization.options import DrawOptions
from rsn.weights.metadata import DetectorMetadata, DetectorSettings
from rsn.weights.transfer import create_model


@pytest.fixture(scope="module")
def estimator(random_weights: Path) -> PoseEstimator:
    return PoseEstimator(random_weights, backend="torch", batch_size=4)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("images")
    noise = np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(11)]
    for path in paths:
        cv2.imwrite(str(path), noise.integers(0, 255, (90, 70, 3)).astype(np.uint8))
    (folder / "3.png").write_bytes(b"no image")
    return paths


def test_predict_files_yields_results_and_errors_in_order(
    estimator: PoseEstimator, images: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "5_poses.jpg").mkdir()  # where the image of 5.png cannot be written
    failed: dict[str, RsnError] = {}
    found: dict[Path, PoseResult] = {}
    for path, result in predict_files(estimator, images, tmp_path, boxes=whole_image_boxes):
        if isinstance(result, RsnError):
            failed[path.stem] = result
        else:
            found[path] = result
    good = [path for path in images if path.stem not in ("3", "5")]
    assert list(found) == good
    assert set(failed) == {"3", "5"}
    assert all((tmp_path / f"{path.stem}_poses.jpg").is_file() for path in good)
    for path, result in found.items():
        np.testing.assert_allclose(result.keypoints, estimator(path, "whole").keypoints, atol=1e-3)
        assert result.image is None


def test_stream_detects_images_of_different_sizes_as_each_alone(random_weights: Path) -> None:
    torch.manual_seed(0)
    settings = DetectorSettings((64,), flip_test=False, box_threshold=0.0)
    detector = StarterDetector.from_network(
        create_model("res18", num_keypoints=5), DetectorMetadata("res18", detector=settings), backend="torch"
    )
    estimator = PoseEstimator(random_weights, backend="torch", detector=detector, batch_size=3)
    noise = np.random.default_rng(0)
    sizes = [(90, 70), (70, 90), (90, 70)] * 4
    images: list[Image | None] = [noise.integers(0, 255, (*size, 3)).astype(np.uint8) for size in sizes]
    images[4] = None

    def read(image: Image | None) -> ImageInput:
        if image is None:
            raise ImageError("no image")
        return ImageInput(image)

    results = list(estimator.stream(images, read))
    assert [image is images[number] for number, (image, _) in enumerate(results)] == [True] * len(images)
    for image, result in results:
        if image is None:
            assert isinstance(result, ImageError)
            continue
        assert isinstance(result, PoseResult)
        alone = estimator(image)
        assert len(result) > 0
        np.testing.assert_allclose(result.boxes, alone.boxes, atol=1e-2)
        np.testing.assert_allclose(result.keypoints, alone.keypoints, atol=0.1)


def test_predict_files_reads_few_images_ahead(
    estimator: PoseEstimator, images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    monkeypatch.setattr("rsn.inference.images.read_image", lambda path: read.append(path) or read_image(path))
    found = predict_files(estimator, images[:1] * 500, tmp_path, boxes=whole_image_boxes)
    next(found)
    time.sleep(0.3)
    assert len(read) <= 2 * TOGETHER + CROPPED_AHEAD + (GROUPS_AHEAD + 2) * estimator.batch_size
    found.close()


def test_ordered_map_keeps_the_order() -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.05 if number == 0 else 0)
        return number

    assert list(ordered_map(slow_first, range(20), threads=4, ahead=6)) == list(range(20))


def test_ordered_map_works_ahead_of_the_caller() -> None:
    begun: list[int] = []
    answers = ordered_map(lambda number: begun.append(number) or number, range(100), threads=2, ahead=5)
    assert next(answers) == 0
    time.sleep(0.1)
    assert sorted(begun) == [0, 1, 2, 3, 4]  # ahead of the caller, and no further


def test_ordered_map_stops_with_the_caller() -> None:
    done: list[int] = []

    def work(number: int) -> int:
        time.sleep(0.02)
        done.append(number)
        return number

    before = threading.active_count()
    answers = ordered_map(work, range(1000), threads=2, ahead=50)
    next(answers)
    answers.close()
    assert threading.active_count() == before
    assert len(done) <= 5


def test_ordered_map_raises_errors_in_place() -> None:
    def odd(number: int) -> int:
        if number == 3:
            raise ImageError("three")
        return number

    answers = ordered_map(odd, range(10), threads=2, ahead=4)
    assert [next(answers) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ImageError, match="three"):
        next(answers)


def test_ctrl_c_stops_predict_without_a_traceback(images: list[Path], random_weights: Path, tmp_path: Path) -> None:
    for number in range(400):
        (tmp_path / f"{number}.png").write_bytes(images[0].read_bytes())
    command = [sys.executable, "-c", "from rsn.cli import main; main()", "predict", tmp_path]
    options = [
        "--boxes",
        "whole",
        "--model",
        random_weights,
        "--backend",
        "torch",
        "--output",
        tmp_path / "out",
    ]
    process = subprocess.Popen([*map(str, command + options)], stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("out/*.jpg")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.endswith("rsn: stopped\n")
    assert "Traceback" not in said
    assert len(list(tmp_path.glob("out/*.jpg"))) < 400


def test_image_heatmap_is_high_at_the_keypoints(estimator: PoseEstimator) -> None:
    image = np.random.default_rng(1).integers(0, 255, (120, 160, 3)).astype(np.uint8)
    people = estimator(image, [[90, 20, 50, 80]], box_format="xywh")
    heat = image_heatmap(estimator, people)
    assert heat.shape == (120, 160)
    assert heat[:, :60].max() == 0, "nobody is there"
    x, y = people[0].keypoints[people[0].scores.argmax()].round().astype(int)
    assert heat[y, x] > 0.7 * heat.max() > 0
    assert image_heatmap(estimator, people[[]]).max() == 0


def test_predict_files_writes_the_requested_format(
    estimator: PoseEstimator, images: list[Path], tmp_path: Path
) -> None:
    for suffix, begins in (("png", b"\x89PNG"), ("webp", b"RIFF")):
        style = DrawOptions(format=suffix, heatmaps=True, boxes=True, label="score")
        list(predict_files(estimator, images[:1], tmp_path, boxes=whole_image_boxes, options=style))
        assert (tmp_path / f"0_poses.{suffix}").read_bytes().startswith(begins)
