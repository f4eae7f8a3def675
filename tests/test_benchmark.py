"""rsn benchmark: its rows for every backend, and errors."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from command import rsn
from rsn.benchmark import TABLES, example_image, format_report, take_turns
from rsn.detection import open_detector
from rsn.geometry import box_iou
from rsn.io.images import write_image


@pytest.fixture
def narrow_image(tmp_path: Path) -> Path:
    """The left person of the example, so small that the detector's network takes little time."""
    path = tmp_path / "narrow.png"
    write_image(path, np.ascontiguousarray(example_image()[::4, 20:60:4]))
    return path


def test_benchmark_measures_every_row(random_weights: Path, narrow_image: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "times.json"
    options = ["--backend", "torch", "--device", "cpu", "--repeats", 1, "--json", out]
    done = rsn("benchmark", random_weights, "--image", narrow_image, *options)
    assert done.returncode == 0, done.stderr
    document = json.loads(out.read_text())
    assert document["image_count"] == 1
    (row,) = document["backends"]
    assert row.keys() == {"backend", "device", *(key for table in TABLES.values() for key in table)}
    parts = sum(row[f"{part}_ms"] for part in ("read", "detector", "crops", "pose_network", "keypoints"))
    assert row["image_ms"] == pytest.approx(parts, rel=0.5)
    for name in ("detector", "pose"):
        assert row[f"{name}_rate"] == pytest.approx(1000 * row[f"{name}_gflop"] / row[f"{name}_batch_ms"])
        assert row[f"{name}_ratio"] * row[f"{name}_rate"] == pytest.approx(row["matrix_product_rate"])
    assert done.stdout == format_report(document) + "\n"


def test_report_has_a_column_for_each_backend_and_a_dash_for_what_is_unknown() -> None:
    rows = [{"backend": "torch", "read_ms": 1.5, "pose_ratio": 1.2}, {"backend": "openvino", "read_ms": 2}]
    report = format_report({"machine": "a machine", "model": "rsn18.starter", "image_count": 1, "backends": rows})
    found = {line[:52].strip(): line[52:].split() for line in report.splitlines()}
    assert found["Parts, ms per image, one after the other"] == ["torch", "openvino"]
    assert found["read"] == ["1.50", "2.00"]
    assert found["pose network, time / time of the matrix product"] == ["1.20", "-"]


def test_detector_finds_the_two_people_of_the_example() -> None:
    boxes, scores = open_detector("starter", backend="torch", device="cpu")(example_image())
    assert len(scores) == 2
    assert scores.min() > 0.5
    drawn = np.array([[105.0, 60, 110, 305], [425, 60, 110, 305]])
    assert box_iou(boxes, drawn).max(0).min() > 0.8


def test_benchmark_rejects_zero_repeats(random_weights: Path) -> None:
    done = rsn("benchmark", random_weights, "--repeats", 0)
    assert done.returncode == 1
    assert done.stderr == "rsn: Invalid repeats: expected at least 1, got 0\n"


def test_benchmark_rejects_an_image_that_cannot_be_read(random_weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"no image")
    done = rsn("benchmark", random_weights, "--image", path, "--backend", "torch", "--device", "cpu")
    assert done.returncode == 1
    assert done.stderr.startswith(f"rsn: {path} is not an image")


def test_tasks_take_turns_and_warm_up_runs_are_not_counted() -> None:
    order: list[str] = []
    times = take_turns({"a": lambda: order.append("a"), "b": lambda: (order.append("b"), time.sleep(0.01))}, 3)
    assert "".join(order) == "ab" * 5
    assert [len(seconds) for seconds in times.values()] == [3, 3]
    assert min(times["b"]) >= 0.01  # as long as it sleeps, or longer
