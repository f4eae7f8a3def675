"""The bulk worker without Ray: its files and its failures."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch

from bulk_images import rows_in, unreadable_in, write_images
from drawn_detectors import BOXES, image, yolox
from rsn import PoseEstimator, RsnError, bulk
from rsn.bulk.output import Output
from rsn.bulk.parts import Part
from rsn.bulk.settings import Settings
from rsn.bulk.worker import MAX_ATTEMPTS, Worker
from rsn.io.images import read_image
from rsn.results import Person
from rsn.skeletons import COCO_17
from rsn.weights.loading import load_model, save_weights
from rsn.weights.uncertainty import Uncertainty

HERE = ("cpu", 4, 1)  # device, batch size, threads


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """Restore the number of threads, which a worker sets."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def settings(random_weights: Path) -> Settings:
    return Settings(model=str(random_weights), boxes="whole", box_threshold=0.3, person_threshold=0.0, backend="torch")


def test_worker_writes_people_of_estimator(settings: Settings, tmp_path: Path) -> None:
    paths = write_images(tmp_path, 6)
    (tmp_path / "broken.png").write_bytes(b"no image")
    urls = tuple(map(str, [*paths, tmp_path / "broken.png", tmp_path / "gone.png"]))
    done = Worker(settings, str(tmp_path / "out"), "run", *HERE).process(3, Part("images", urls))
    assert (done.failed, done.images, done.people, done.unreadable) == ("", 6, 6, 2)
    rows = rows_in(tmp_path / "out")
    assert [row["image"] for row in rows] == list(urls[:6])
    estimator = PoseEstimator(settings.model, device="cpu", backend="torch")
    for path, row in zip(paths, rows, strict=True):
        (person,) = estimator(read_image(path), boxes="whole")
        assert (row["person"], row["width"], row["height"]) == (0, 70, 90)
        assert row["score"] == pytest.approx(person.score, abs=1e-4)
        read = Person.from_dict(row)
        np.testing.assert_allclose(read.box, [0, 0, 70, 90])
        np.testing.assert_allclose(read.keypoints, person.keypoints, atol=1e-3)
        np.testing.assert_allclose(read.scores, person.scores, atol=1e-3)
    assert [(entry["image"], entry["reason"].split(";")[0]) for entry in unreadable_in(tmp_path / "out")] == [
        (urls[6], f"{urls[6]} is not an image that can be read"),
        (urls[7], f"there is no image at {urls[7]}"),
    ]
    about = parquet.read_schema(tmp_path / "out" / "people" / "part-000003.parquet").metadata
    assert json.loads(about[b"rsn.keypoints"]) == list(COCO_17.keypoint_names)
    assert (about[b"rsn.images"], about[b"rsn.unreadable"]) == (b"6", b"2")
    assert Output(str(tmp_path / "out")).finished() == {3}
    assert list((tmp_path / "out" / "begun").iterdir()) == []
    results = dict(bulk.read(str(tmp_path / "out")))
    assert list(results) == list(urls[:6])
    for path in paths:
        expected = estimator(path, "whole")
        assert (results[str(path)].skeleton, results[str(path)].image_size) == (COCO_17, (90, 70))
        np.testing.assert_allclose(results[str(path)].keypoints, expected.keypoints, atol=1e-2)


def test_expected_errors_are_written_and_read(settings: Settings, tmp_path: Path) -> None:
    plain, calibrated = load_model(settings.model), tmp_path / "calibrated.safetensors"
    save_weights(calibrated, plain.network, replace(plain.metadata, uncertainty=Uncertainty(2.0, 0.5, 1.0)))
    (path,) = write_images(tmp_path, 1)
    settings = replace(settings, model=str(calibrated))
    Worker(settings, str(tmp_path / "out"), "run", *HERE).process(0, Part("images", (str(path),)))
    ((_, result),) = bulk.read(str(tmp_path / "out"))
    expected = PoseEstimator(calibrated, device="cpu", backend="torch")(path, "whole").std
    np.testing.assert_allclose(result.std, expected, atol=1e-3)


def test_read_rejects_a_folder_without_results(tmp_path: Path) -> None:
    with pytest.raises(RsnError, match=r"has no people/\*\.parquet; is it the --output of rsn bulk"):
        list(bulk.read(str(tmp_path)))
    (tmp_path / "people").mkdir()
    (tmp_path / "people" / "part-000000.parquet").write_bytes(b"no Parquet")
    with pytest.raises(RsnError, match=r"part-000000\.parquet was not written by rsn bulk"):
        list(bulk.read(str(tmp_path)))


def test_read_keeps_images_whole_across_batches_of_rows(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_images(tmp_path, 3)
    boxes = {path.name: [[5, 5, 40, 60], [10, 10, 40, 60]] for path in paths[:2]} | {paths[2].name: []}
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    by_file = replace(settings, boxes=str(tmp_path / "boxes.json"))
    Worker(by_file, str(tmp_path / "out"), "run", *HERE).process(0, Part("images", tuple(map(str, paths))))
    monkeypatch.setattr("rsn.bulk.reading.ROWS", 1)
    read = [(name, len(result)) for name, result in bulk.read(str(tmp_path / "out"))]
    assert read == [(str(paths[0]), 2), (str(paths[1]), 2), (str(paths[2]), 0)]


def test_settings_of_a_named_detector_are_resolved(settings: Settings) -> None:
    detecting = replace(settings, inputs=("images",), boxes="detect", detector="starter-best", box_threshold=None)
    default, best = replace(detecting, detector="starter").resolve(), detecting.resolve()
    assert best.detector == "starter-best"
    assert best.sha256["detector"] == default.sha256["detector"]
    assert best.box_threshold != default.box_threshold


def test_worker_counts_skipped_boxes(settings: Settings, tmp_path: Path) -> None:
    paths = write_images(tmp_path, 2)
    good = {"category_id": 1, "bbox": [5, 5, 40, 60], "score": 0.9}
    boxes = [good | {"image_id": path.name} for path in paths]
    far, car = boxes[0] | {"bbox": [500, 5, 40, 60]}, boxes[1] | {"category_id": 3}
    (tmp_path / "boxes.json").write_text(json.dumps([*boxes, far, car]))
    given = replace(settings, boxes=str(tmp_path / "boxes.json"))
    part = Part("images", tuple(map(str, paths)))
    done = Worker(given, str(tmp_path / "out"), "run", *HERE).process(0, part)
    assert (done.failed, done.people, done.notes.skipped) == ("", 2, {"outside the image": 1})
    done = Worker(replace(given, box_category="any"), str(tmp_path / "all"), "run", *HERE).process(0, part)
    assert done.people == 3


def test_image_without_people_has_one_row(settings: Settings, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "two.png"), image(2)[..., ::-1])
    cv2.imwrite(str(tmp_path / "empty.png"), np.zeros((50, 60, 3), np.uint8))
    detecting = replace(settings, boxes="detect", detector=str(yolox(tmp_path / "yolox.onnx")))
    urls = (str(tmp_path / "two.png"), str(tmp_path / "empty.png"))
    done = Worker(detecting, str(tmp_path / "out"), "run", *HERE).process(0, Part("images", urls))
    assert (done.failed, done.images, done.people) == ("", 2, 2)
    rows = rows_in(tmp_path / "out")
    assert [(Path(row["image"]).name, row["person"]) for row in rows] == [
        ("two.png", 0),
        ("two.png", 1),
        ("empty.png", None),
    ]
    np.testing.assert_allclose(sorted(row["bbox"] for row in rows[:2]), 2 * BOXES, atol=0.01)
    assert rows[2]["keypoints"] is None


def test_boxes_of_file_are_found_by_image_name(settings: Settings, tmp_path: Path) -> None:
    write_images(tmp_path, 1)
    (tmp_path / "boxes.json").write_text(json.dumps({"0000.png": [[1, 2, 30, 40], [5, 5, 20, 50, 0.5]]}))
    given = replace(settings, boxes=str(tmp_path / "boxes.json"))
    Worker(given, str(tmp_path / "out"), "run", *HERE).process(0, Part("images", (str(tmp_path / "0000.png"),)))
    assert [row["bbox"] for row in rows_in(tmp_path / "out")] == [[1, 2, 30, 40], [5, 5, 20, 50]]


def test_unreachable_store_fails_part_not_image(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rsn.bulk.storage.PAUSE", 0.0)
    worker = Worker(settings, str(tmp_path / "out"), "run", *HERE)
    done = worker.process(0, Part("images", ("http://127.0.0.1:9/a.png",)))
    assert "cannot read http://127.0.0.1:9/a.png" in done.failed
    assert not done.fatal
    assert Output(str(tmp_path / "out")).finished() == set()
    assert unreadable_in(tmp_path / "out") == []


def test_part_that_kills_workers_is_skipped(settings: Settings, tmp_path: Path) -> None:
    (path,) = write_images(tmp_path, 1)
    output = Output(str(tmp_path / "out"))
    assert [output.start_part(0, "run") for _ in range(MAX_ATTEMPTS)] == [1, 2, 3]
    done = Worker(settings, str(tmp_path / "out"), "run", *HERE).process(0, Part("images", (str(path),)))
    assert "its worker died 3 times" in done.failed
    assert output.finished() == set()
    assert (
        Worker(settings, str(tmp_path / "out"), "next run", *HERE).process(0, Part("images", (str(path),))).failed == ""
    )


def test_missing_weights_are_fatal(settings: Settings, tmp_path: Path) -> None:
    done = Worker(replace(settings, model="/gone.safetensors"), str(tmp_path / "out"), "run", *HERE).process(
        0, Part("images", ("/a.png",))
    )
    assert done.fatal
    assert "no such weights file" in done.failed


def test_unwritable_output_fails_part(settings: Settings, tmp_path: Path) -> None:
    (path,) = write_images(tmp_path, 1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "people").write_text("a file where the folder should be")
    done = Worker(settings, str(tmp_path / "out"), "run", *HERE).process(0, Part("images", (str(path),)))
    assert "cannot" in done.failed
