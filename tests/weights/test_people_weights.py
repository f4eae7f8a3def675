"""rsn18.people, the detector in the package, on images with and without people."""

import csv
import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from command import rsn
from rsn import PoseEstimator
from rsn.detection import open_detector
from rsn.detection.loading import default_box_threshold
from rsn.detection.postprocessing import Detector
from rsn.detection.starter import STARTERS
from rsn.errors import WeightsError
from rsn.evaluation.detection import measure_detector
from rsn.export.run import export_model
from rsn.geometry import Image
from rsn.io.images import write_image
from rsn.io.validation import read_json
from rsn.weights.metadata import DetectorMetadata
from rsn.weights.sources import load_metadata, weights_path

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module")
def detector() -> Detector:
    return open_detector("starter", device="cpu")


@pytest.fixture(scope="module")
def portraits() -> Image:
    """The demo image: two people side by side."""
    pytest.importorskip("skimage")
    pytest.importorskip("matplotlib")
    return runpy.run_path(str(SCRIPTS / "demo_images.py"))["portraits"]()


def test_metadata_describes_the_weights() -> None:
    metadata = load_metadata("rsn18.people")
    assert metadata.model == "rsn18"
    assert isinstance(metadata, DetectorMetadata)
    assert metadata.trained_on
    assert metadata.license
    assert metadata.notes
    assert 0 < metadata.metrics["AP"] < metadata.metrics["AP50"] < 1


def test_file_is_small() -> None:
    assert weights_path("rsn18.people").stat().st_size < 25_000_000


def test_detector_weights_are_rejected_as_pose_model(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="finds person boxes, not keypoints"):
        PoseEstimator("rsn18.people", backend="torch")
    with pytest.raises(WeightsError, match="--decode does not support"):
        export_model("rsn18.people", tmp_path / "p.pt2", format="torch-export", decode=True)


@pytest.mark.parametrize("name", STARTERS)
def test_detector_finds_both_portraits(name: str, portraits: Image) -> None:
    boxes, scores = open_detector(name, device="cpu")(portraits)
    boxes = boxes[:2]  # the third, on the flag, is left out by its keypoints
    assert (scores >= default_box_threshold(name)).all()
    left, right = boxes[np.argsort(boxes[:, 0])]
    for (x, y, width, height), (low, high) in ((left, (0, 512)), (right, (512, 949))):
        assert low - 60 < x < x + width < high + 60
        assert (width > 250, height > 380, y < 130) == (True, True, True)


@pytest.mark.parametrize("kind", ["black", "white", "noise", "soft noise", "stripes", "gradient"])
def test_detector_finds_no_person_without_persons(detector: Detector, kind: str) -> None:
    random = np.random.default_rng(0)
    ramp = np.linspace(0, 255, 320).astype(np.uint8)
    images = {
        "black": np.zeros((240, 320, 3), np.uint8),
        "white": np.full((240, 320, 3), 255, np.uint8),
        "noise": random.integers(0, 255, (240, 320, 3)).astype(np.uint8),
        "soft noise": random.integers(0, 255, (24, 32, 3)).astype(np.uint8).repeat(10, 0).repeat(10, 1),
        "stripes": np.broadcast_to((np.arange(320) // 8 % 2 * 255)[:, None], (240, 320, 3)).astype(np.uint8),
        "gradient": np.broadcast_to(ramp[:, None], (240, 320, 3)).astype(np.uint8),
    }
    boxes, scores = detector(images[kind])
    assert (boxes.shape, scores.shape) == ((0, 4), (0,))


def test_estimator_uses_the_starter_detector_by_default(portraits: Image) -> None:
    people = PoseEstimator()(portraits)
    noses = sorted(person.keypoints[0, 0] for person in people)
    assert len(noses) == 2
    assert noses == pytest.approx([225, 740], abs=70)
    assert len(PoseEstimator()(np.zeros((90, 120, 3), np.uint8))) == 0


def test_predict_detects_and_names_the_detector_once(portraits: Image, tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", portraits)
    write_image(tmp_path / "b.png", np.zeros((90, 120, 3), np.uint8))
    done = rsn("predict", tmp_path / "a.png", tmp_path / "b.png", "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    told, summary = done.stderr.splitlines()
    assert "starter, the small one included in rsn" in told
    assert "--detector dfine finds more" in told
    assert "people: 2, images: 2" in summary
    entries = json.loads((tmp_path / "out/poses.json").read_text())
    assert [Path(entry["file_name"]).name for entry in entries] == ["a.png", "a.png"]


def test_starter_best_is_the_best_row_of_the_table() -> None:
    with (SCRIPTS.parent / "benchmarks" / "detector_settings.csv").open() as file:
        best = max(csv.DictReader(file), key=lambda row: float(row["AP50"]))
    settings = STARTERS["starter-best"]
    assert settings is not None
    assert "+".join(map(str, settings.image_sizes)) == best["image_sizes"]
    assert settings.flip_test == (best["flip_test"] == "yes")
    assert settings.box_threshold == float(best["box_threshold"])


@pytest.mark.slow
def test_metrics_equal_those_of_the_metadata(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "coco"
    document = read_json(folder / "person_keypoints_val2017.json")
    detector = open_detector("starter", device="cpu", box_threshold=0.02)
    scores = measure_detector(detector, document, folder / "val2017")
    metrics = load_metadata("rsn18.people").metrics
    assert (scores.ap, scores.ap50) == pytest.approx((metrics["AP"], metrics["AP50"]), abs=0.01)
    precision, recall = scores.precision_and_recall(default_box_threshold("starter"))
    assert (precision, recall) == pytest.approx((metrics["precision"], metrics["recall"]), abs=0.01)
    assert precision >= 0.7
