"""The command line: output files, exit status, and one-sentence errors."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from command import WHOLE, rsn, rsn_process
from rsn import create_model
from rsn.skeletons import MPII_16
from rsn.weights.loading import save_weights
from rsn.weights.metadata import ModelMetadata


def test_help_lists_the_subcommands() -> None:
    done = rsn("--help")
    assert done.returncode == 0
    assert all(subcommand in done.stdout for subcommand in ("predict", "evaluate", "train", "models", "data"))


def test_command_line_imports_only_what_it_needs() -> None:
    """This keeps `rsn --help` fast."""
    assert not imported_by("rsn.cli") & {"torch", "numpy", "cv2", "lightning", "pydantic"}


def test_import_rsn_imports_neither_torch_nor_numpy() -> None:
    assert not imported_by("rsn") & {"torch", "numpy", "cv2", "tyro", "lightning"}


def imported_by(module: str) -> set[str]:
    code = f"import sys; import {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_predict_writes_images_and_results(image: Path, random_weights: Path, tmp_path: Path) -> None:
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps({"good.png": [[5, 5, 40, 60], [20, 10, 45, 70, 0.5]]}))
    out = tmp_path / "new" / "out"
    done = rsn("predict", image, "--model", random_weights, "--boxes", boxes, "--output", out, "--json")
    assert done.returncode == 0, done.stderr
    entries = json.loads((out / "poses.json").read_text())
    assert json.loads(done.stdout) == entries
    assert [entry["bbox"] for entry in entries] == [[5, 5, 40, 60], [20, 10, 45, 70]]
    assert [len(entry["keypoints"]) for entry in entries] == [51, 51]
    assert entries[0]["file_name"] == str(image)
    assert entries[0]["keypoint_names"][9] == "left_wrist"
    drawn, original = cv2.imread(str(out / "good_poses.jpg")), cv2.imread(str(image))
    assert drawn.shape == original.shape
    assert "people: 2, images: 1" in done.stderr


def test_predict_numbers_images_with_equal_names(image: Path, random_weights: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "a/same.png", tmp_path / "b/Same.png"):  # one file to Windows and macOS
        path.parent.mkdir()
        path.write_bytes(image.read_bytes())
    done = rsn(
        "predict",
        tmp_path / "a",
        tmp_path / "b/Same.png",
        *WHOLE,
        "--model",
        random_weights,
        "--output",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.glob("*.jpg")} == {"same_poses.jpg", "Same_poses_2.jpg"}


def test_evaluate_prints_and_writes_the_ten_metrics(people_json: Path, random_weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "metrics.json"
    done = rsn(
        "evaluate", random_weights, "--dataset", "coco", "--annotations", people_json,
        "--images", people_json.parent / "images", "--boxes", "gt", "--flip", "--json", out,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads(out.read_text())
    assert list(document["metrics"]) == [
        "AP",
        "AP50",
        "AP75",
        "APM",
        "APL",
        "AR",
        "AR50",
        "AR75",
        "ARM",
        "ARL",
    ]
    assert document["boxes"] == "gt"
    assert "AP" in done.stdout
    assert "boxes: annotated" in done.stderr


def test_train_and_preview_from_a_recipe(people_json: Path, tmp_path: Path) -> None:
    source = f"{{annotations: {people_json}, images: {people_json.parent / 'images'}}}"
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(f"train: [{source}]\nvalidation: {source}\noutput: {tmp_path / 'run'}\ninput_size: [64, 64]\n")
    preview = rsn("data", "preview", recipe, "--output", tmp_path / "preview.png", "--people", 7)
    assert preview.returncode == 0, preview.stderr
    assert cv2.imread(str(tmp_path / "preview.png")).shape == (2 * 64, 6 * 2 * 64, 3)
    settings = [
        "--set",
        "compute.workers=0",
        "val_interval=1",
        "--set",
        "optimization.steps=1",
        "optimization.batch_size=2",
    ]
    trained = rsn("train", recipe, *settings)
    assert trained.returncode == 0, trained.stderr
    assert "step 1/1" in trained.stderr
    assert "Traceback" not in trained.stderr
    evaluated = rsn(
        "evaluate", tmp_path / "run/best.safetensors", "--annotations", people_json,
        "--images", people_json.parent / "images",
    )  # fmt: skip
    assert evaluated.returncode == 0, evaluated.stderr
    again = rsn("train", recipe, *settings)
    assert again.returncode == 1
    told = f"rsn: {tmp_path / 'run'} holds a run; continue it with --resume, or choose another output folder"
    assert again.stderr.splitlines()[-1] == told


def _missing(folder: Path) -> Path:
    return folder / "missing.jpg"


def _text(folder: Path) -> Path:
    path = folder / "text.jpg"
    path.write_text("not an image")
    return path


def _truncated(folder: Path) -> Path:
    path = folder / "truncated.jpg"
    data = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (80, 80, 3)).astype(np.uint8))[1].tobytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def _one_pixel(folder: Path) -> Path:
    path = folder / "pixel.png"
    cv2.imwrite(str(path), np.zeros((1, 1, 3), np.uint8))
    return path


def _empty(folder: Path) -> Path:
    path = folder / "empty.jpg"
    path.touch()
    return path


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (_missing, "no image at"),
        (_text, "not an image"),
        (_truncated, "is truncated"),
        (_one_pixel, "only 1 x 1 pixels"),
        (_empty, "empty file"),
    ],
)
def test_predict_reports_bad_image_and_continues(
    image: Path, random_weights: Path, tmp_path: Path, bad: Callable[[Path], Path], says: str
) -> None:
    out = tmp_path / "out"
    done = rsn("predict", bad(tmp_path), image, *WHOLE, "--model", random_weights, "--output", out)
    assert done.returncode == 1
    about = [line for line in done.stderr.splitlines() if says in line]
    assert len(about) == 1
    assert len(done.stderr.splitlines()) == 3  # the error, the summary, the number of failed images
    assert "Traceback" not in done.stderr
    assert [entry["file_name"] for entry in json.loads((out / "poses.json").read_text())] == [str(image)]
    assert [path.name for path in out.iterdir() if path.suffix != ".json"] == ["good_poses.jpg"]


def _gray(folder: Path) -> Path:
    cv2.imwrite(str(folder / "p.png"), np.full((60, 50), 90, np.uint8))
    return folder / "p.png"


def _sixteen_bit(folder: Path) -> Path:
    cv2.imwrite(str(folder / "p.png"), np.full((60, 50, 3), 40000, np.uint16))
    return folder / "p.png"


def _alpha(folder: Path) -> Path:
    cv2.imwrite(str(folder / "p.png"), np.full((60, 50, 4), 90, np.uint8))
    return folder / "p.png"


def _palette(folder: Path) -> Path:
    Pillow.new("RGB", (50, 60), (10, 200, 30)).convert("P").save(folder / "p.png")
    return folder / "p.png"


def _cmyk(folder: Path) -> Path:
    Pillow.new("CMYK", (50, 60), (10, 200, 30, 5)).save(folder / "p.jpg")
    return folder / "p.jpg"


def _wide(folder: Path) -> Path:
    cv2.imwrite(str(folder / "p.png"), np.full((10, 20_000, 3), 90, np.uint8))
    return folder / "p.png"


def _turned(folder: Path) -> Path:
    exif = Pillow.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    Pillow.new("RGB", (60, 50)).save(folder / "p.jpg", exif=exif)
    return folder / "p.jpg"


@pytest.mark.parametrize(
    ("unusual", "shape"),
    [
        (_gray, (60, 50)),
        (_sixteen_bit, (60, 50)),
        (_alpha, (60, 50)),
        (_palette, (60, 50)),
        (_cmyk, (60, 50)),
        (_wide, (10, 20_000)),
        (_turned, (60, 50)),
    ],
)
def test_predict_reads_unusual_images(
    random_weights: Path, tmp_path: Path, unusual: Callable[[Path], Path], shape: tuple[int, int]
) -> None:
    done = rsn("predict", unusual(tmp_path), *WHOLE, "--model", random_weights, "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    assert cv2.imread(str(tmp_path / "p_poses.jpg")).shape[:2] == shape


def _boxes(text: str) -> Callable[[Path], list[object]]:
    def arguments(folder: Path) -> list[object]:
        (folder / "boxes.json").write_text(text)
        return ["--boxes", folder / "boxes.json"]

    return arguments


def _no_sources(folder: Path) -> list[object]:
    (folder / "empty").mkdir()
    return [folder / "empty"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            _boxes('{"good.png": [[500, 500, 10, 10]]}'),
            "good.png: none of its boxes can be used; boxes left out: 1 outside",
        ),
        (_boxes('{"good.png": [[0, 0, 0, 10]]}'), "boxes left out: 1 less than a pixel wide or high"),
        (_boxes('{"good.png": [[0.2, 0.3, 0.5, 0.5]]}'), "boxes are x, y, width, height in pixels"),
        (
            _boxes('{"good.png": [[NaN, 0, 10, 10]]}'),
            "not a file of boxes (left out: 1 that are not x, y, width",
        ),
        (_boxes('{"other.png": [[0, 0, 10, 10]]}'), "has no boxes for it"),
        (_boxes('{"good.png": [[0, 0'), "not valid JSON"),
        (lambda folder: ["--boxes", folder / "gone.json"], "there is no such file"),
        (lambda folder: ["--detector", "rtdeter"], "did you mean rtdetr"),
        (lambda folder: ["--detector", "yolo"], "known: dfine, rtdetr, starter, starter-best"),
        (lambda folder: ["--detector", "gone.onnx"], "there is no such detector"),
        (lambda folder: ["--boxes", "whole", "--detector", "dfine"], "has no effect with --boxes whole"),
        (_no_sources, "no image directly in"),
        (lambda folder: ["--model", "rsn18.startr"], "did you mean rsn18.starter"),
        (lambda folder: ["--model", "gone.safetensors"], "no such weights file"),
        (lambda folder: ["--batch-size", 0], "Invalid batch_size: expected a whole number from 1, got 0"),
        (lambda folder: ["--device", "cuda:9"], "device 'cuda:9' cannot be used here"),
    ],
)
def test_predict_rejects_invalid_arguments(
    image: Path, random_weights: Path, tmp_path: Path, arguments: Callable[[Path], list[object]], says: str
) -> None:
    out = tmp_path / "out"
    given = arguments(tmp_path)
    model = [] if "--model" in given else ["--model", random_weights]
    done = rsn("predict", image, *given, *model, "--output", out)
    assert done.returncode == 1
    assert says in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert "Traceback" not in done.stderr
    assert not out.exists() or not list(out.iterdir())


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text.replace('"keypoints": [35', '"keypoints": [NaN, 35'), "52 numbers, not 51"),
        (lambda text: text.replace('"bbox": [5,', '"bbox": [NaN,'), "write 4 finite numbers"),
        (lambda text: text.replace("000000000001.png", "gone.png"), "gone.png: named by the annotations"),
    ],
)
def test_evaluate_rejects_bad_annotations(
    people_json: Path, random_weights: Path, tmp_path: Path, damage: Callable[[str], str], says: str
) -> None:
    text = people_json.read_text(encoding="utf-8")
    (tmp_path / "damaged.json").write_text(damage(text))
    assert damage(text) != text
    images = people_json.parent / "images"
    done = rsn("evaluate", random_weights, "--annotations", tmp_path / "damaged.json", "--images", images)
    assert done.returncode == 1
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_evaluate_rejects_weights_of_another_skeleton(people_json: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    metadata = ModelMetadata("res18", skeleton=MPII_16, input_size=(64, 64))
    save_weights(tmp_path / "mpii.safetensors", create_model("res18", num_keypoints=16), metadata, half=True)
    images = people_json.parent / "images"
    done = rsn("evaluate", tmp_path / "mpii.safetensors", "--annotations", people_json, "--images", images)
    assert done.returncode == 1
    assert "mpii_16" in done.stderr
    assert "coco_17" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_full_disk_leaves_no_partial_files(image: Path, random_weights: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="needs limits on the size of files")

    def no_room() -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write past the limit fails like one to a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))

    given = [*WHOLE, "--model", random_weights, "--output", tmp_path / "out"]
    done = rsn_process("predict", image, *given, preexec_fn=no_room)
    assert done.returncode == 1
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_predict_rejects_read_only_folder(image: Path, random_weights: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    done = rsn("predict", image, "--model", random_weights, "--output", tmp_path / "out")
    assert done.returncode == 1
    assert "cannot make the folder" in done.stderr
