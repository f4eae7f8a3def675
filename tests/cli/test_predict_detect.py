"""`rsn predict --boxes detect` as a user meets it."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from command import rsn
from drawn_detectors import BOXES, Graph, image, yolox
from rsn.io.images import write_image
from rsn.weights.loading import load_model, save_weights
from rsn.weights.uncertainty import Uncertainty


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Images of two people and of none."""
    folder = tmp_path / "images"
    folder.mkdir()
    write_image(folder / "two.png", image(2))
    write_image(folder / "empty.png", np.zeros((50, 60, 3), np.uint8))
    return folder


def test_predict_detects_people(images: Path, random_weights: Path, tmp_path: Path) -> None:
    out, detector = tmp_path / "out", yolox(tmp_path / "yolox.onnx")
    given = [
        "--boxes",
        "detect",
        "--detector",
        detector,
        "--model",
        random_weights,
        "--output",
        out,
        "--device",
        "cpu",
    ]
    done = rsn("predict", images, *given)
    assert done.returncode == 0, done.stderr
    assert "people: 2, images: 2" in done.stderr
    entries = json.loads((out / "poses.json").read_text())
    assert {Path(entry["file_name"]).name for entry in entries} == {"two.png"}
    found = sorted(entry["bbox"] for entry in entries)
    np.testing.assert_allclose(found, 2 * BOXES, atol=0.01)
    for entry in entries:
        keypoints = np.mean(entry["keypoints"][2::3])
        box_score = 0.9 if entry["bbox"][0] < 20 else 0.7
        assert entry["score"] == pytest.approx(box_score * keypoints, abs=5e-4)
    assert {path.name for path in out.glob("*.jpg")} == {"two_poses.jpg", "empty_poses.jpg"}


def test_boxes_below_the_least_score_are_left_out(images: Path, random_weights: Path, tmp_path: Path) -> None:
    detector = yolox(tmp_path / "yolox.onnx")
    given = [
        "--boxes",
        "detect",
        "--detector",
        detector,
        "--model",
        random_weights,
        "--output",
        tmp_path / "out",
    ]
    done = rsn("predict", images / "two.png", *given, "--box-threshold", 0.8, "--device", "cpu")
    assert "people: 1, images: 1" in done.stderr, done.stderr


def test_an_unknown_file_is_one_sentence(images: Path, tmp_path: Path) -> None:
    graph = Graph()
    graph.node("GlobalAveragePool", "images", output="pooled")
    detector = graph.save(tmp_path / "other.onnx", ["pooled"])
    done = rsn("predict", images, "--boxes", "detect", "--detector", detector, "--output", tmp_path / "out")
    assert done.returncode == 1
    assert "other.onnx: its outputs" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_hub_that_cannot_be_reached_is_one_sentence(images: Path, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    given = ["--boxes", "detect", "--detector", "dfine", "--output", tmp_path / "out"]
    done = rsn("predict", images, *given, env=offline)
    assert done.returncode == 1
    fetched, failed = done.stderr.splitlines()
    assert "ustc-community/dfine-small-coco: is downloaded from the Hugging Face hub, once" in fetched
    assert "no usable detector of that name on the Hugging Face hub or in its cache" in failed


@pytest.mark.parametrize("option", ["--person-threshold", "--box-threshold"])
def test_predict_rejects_a_threshold_above_1(images: Path, tmp_path: Path, option: str) -> None:
    done = rsn("predict", images / "two.png", option, 3, "--output", tmp_path / "out", "--device", "cpu")
    assert done.returncode == 1
    name = option[2:].replace("-", "_")
    assert done.stderr.splitlines()[-1] == f"rsn: Invalid {name}: expected a number from 0 to 1, got 3"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("boxes", ["whole", "file"])
def test_person_threshold_applies_to_given_boxes(
    images: Path, random_weights: Path, tmp_path: Path, boxes: str
) -> None:
    given = tmp_path / "boxes.json"
    given.write_text('{"two.png": [[0, 0, 40, 40]], "empty.png": []}')
    options = ["--boxes", boxes if boxes == "whole" else given, "--model", random_weights, "--device", "cpu"]
    for threshold, people in ((0, 1), (1, 0)):
        out = tmp_path / f"out-{threshold}"
        done = rsn("predict", images / "two.png", *options, "--person-threshold", threshold, "--output", out)
        assert done.returncode == 0, done.stderr
        assert len(json.loads((out / "poses.json").read_text())) == people


def test_predict_draws_uncertainty_only_with_weights_that_have_it(
    images: Path, random_weights: Path, tmp_path: Path
) -> None:
    plain = load_model(random_weights)
    calibrated = tmp_path / "calibrated.safetensors"
    save_weights(calibrated, plain.network, replace(plain.metadata, uncertainty=Uncertainty(2.0, 0.5, 1.0)))
    given = ["--boxes", "whole", "--backend", "torch", "--draw.uncertainty"]
    refused = rsn("predict", images, *given, "--model", random_weights, "--output", tmp_path / "none")
    assert refused.returncode == 1
    assert "Invalid draw.uncertainty: expected weights with a calibration" in refused.stderr
    assert not (tmp_path / "none").exists()
    done = rsn("predict", images, *given, "--model", calibrated, "--output", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert [len(entry["std"]) for entry in json.loads(done.stdout)] == [17, 17]
