"""Many clients at a time: no lost or mixed-up responses, and constant memory."""

import csv
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pose_service import Client, estimator_of, serving
from rsn import create_model
from rsn.detection.starter import StarterDetector
from rsn.weights.metadata import DetectorMetadata, DetectorSettings

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_many_clients_get_right_answers_in_constant_memory(tmp_path: Path) -> None:
    output = tmp_path / "load.csv"
    command = [sys.executable, ROOT / "benchmarks" / "serve.py", "--output", output]
    numbers = ["--clients", "16", "4", "16", "--seconds", "10"]
    done = subprocess.run([*command, *numbers], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = list(csv.DictReader(output.open()))
    assert [row["clients"] for row in rows] == ["16", "4", "16"]
    for name in ("lost", "wrong", "other_status"):
        assert {row[name] for row in rows} == {"0"}
    growth = int(rows[-1]["memory_after_mb"]) - int(rows[0]["memory_after_mb"])
    assert growth < 100, "a service that keeps its images would hold more"


def batches_of(service: Client) -> tuple[float, float]:
    """The number of batches, and of batches with at most one person."""
    lines = [line.split() for line in service.get("/metrics").body.decode().splitlines()]
    numbers = {line[0]: float(line[1]) for line in lines if line[0] != "#"}
    return numbers["rsn_batch_people_count"], numbers['rsn_batch_people_bucket{le="1.0"}']


def test_responses_belong_to_their_requests(service: Client, image: Path) -> None:
    """Requests from many threads, each with a different box."""
    pixels = image.read_bytes()
    boxes = [[number / 10, 1.0, 40.0, 50.0 + number / 10] for number in range(200)]
    counted = batches_of(service)
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda box: service.people(pixels, [box]), boxes))
    assert [answer.status for answer in answers] == [200] * 200
    assert [answer.json["people"][0]["bbox"] for answer in answers] == boxes
    batches, alone = (after - before for after, before in zip(batches_of(service), counted, strict=True))
    assert alone < batches < 200, "no two requests shared a batch"


def test_persons_are_detected_for_many_requests_at_a_time(random_weights: Path, tmp_path: Path) -> None:
    """Each request gets the persons of its own image, as the estimator finds them alone."""
    torch.manual_seed(0)
    metadata = DetectorMetadata("res18", input_size=(64, 64), detector=DetectorSettings((64,), flip_test=False))
    detector = StarterDetector.from_network(create_model("res18", num_keypoints=5), metadata, box_threshold=0.0)
    estimator = estimator_of(random_weights, detector=detector, person_threshold=0.0)
    random = np.random.default_rng(0)
    images = [random.integers(0, 255, (64, 40 + number, 3)).astype(np.uint8) for number in range(24)]
    encoded = [cv2.imencode(".png", image[..., ::-1])[1].tobytes() for image in images]
    with serving({"random": estimator}) as service, ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(service.people, encoded))
        lines = [line.split() for line in service.get("/metrics").body.decode().splitlines()]
    batches = next(float(line[1]) for line in lines if line[0] == "rsn_batch_images_count")
    assert batches < 24, "no two requests shared a batch"
    assert [answer.status for answer in answers] == [200] * len(images)
    for image, answer in zip(images, answers, strict=True):
        found, expected = [person["bbox"] for person in answer.json["people"]], [one.bbox for one in estimator(image)]
        assert len(expected) > 1
        np.testing.assert_allclose(found, expected, atol=0.1)
