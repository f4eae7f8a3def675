"""Check that features of an extra name the command that installs it, and that the rest runs without any extra.

Run it in an environment that has only the package: python scripts/check_extras.py
"""

import contextlib
import io
import json
import shlex
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np

from rsn import COCO_17
from rsn.cli import main as rsn
from rsn.doctor import EXTRAS, libraries_of

RECIPE = Path(__file__).parents[1] / "recipes/coco/rsn18_256x192.yaml"
BROUGHT_BY_PYTORCH = {"filelock", "fsspec"}
# Arguments of `rsn` and the extra that they need; `write_inputs` makes the files. Only Python code needs `demo`.
NEED_AN_EXTRA = {
    "evaluate rsn18.starter --annotations people.json --images . --boxes gt": "eval",
    "evaluate rsn18.starter --dataset mpii --annotations labels.mat --images .": "eval",
    "submit mpii-test rsn18.starter --annotations labels.mat --images .": "eval",
    "score results.json --annotations people.json": "eval",
    f"train {shlex.quote(str(RECIPE))}": "train",
    "finetune people.json --images .": "train",
    "report run": "train",
    "predict image.png --detector dfine": "detect",
    "predict image.png --detector detector.onnx": "detect",
    "predict video.mp4": "video",
    "serve": "serve",
    "bulk . --output results": "bulk",
    "data convert labels.slp --output labels.json": "labels",
    "data convert project --output labels.json": "labels",
    "predict image.png --backend onnxruntime": "onnx",
    "export rsn18.starter --format onnx --output rsn18.onnx": "onnx",
    "predict image.png --backend openvino": "openvino",
    "export rsn18.starter --format openvino --output rsn18.xml": "openvino",
    "export rsn18.starter --format openvino --precision int8 --calibration people.json --images . --output a.xml": (
        "int8"
    ),
    "predict image.heic": "heif",
}
NEED_NONE = (
    "predict image.png",
    "models list",
    "models show rsn18.starter",
    "data check people.json --images .",
    "data preview people.json --images . --output preview.html",
    "benchmark rsn18.starter --help",
    "submit check --help",
    "doctor",
)


def main() -> None:
    """Run all of them in a new folder, and list the wrong answers."""
    installed = sorted(filter(is_installed, set(libraries_of("all")) - BROUGHT_BY_PYTORCH))
    if installed:
        sys.exit(f"this environment has libraries of extras: {', '.join(installed)}")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        write_inputs()
        wrong = []
        for call, extra in NEED_AN_EXTRA.items():
            status, said = run(call)
            commands = said.count("pip install") - said.count("--detector dfine finds more")
            if status != 1 or commands != 1 or f"pip install 'rsn-pose[{extra}]'" not in said:
                wrong.append(f"rsn {call}: expected the extra {extra}, got {said}")
        for call in NEED_NONE:
            status, said = run(call)
            if status != 0:
                wrong.append(f"rsn {call}: exit status {status}, {said}")
    print(f"{len(NEED_AN_EXTRA) + len(NEED_NONE)} commands without extras, {len(wrong)} wrong answers")
    sys.exit("\n".join(wrong) or None)


def is_installed(distribution: str) -> bool:
    """Whether a distribution is installed."""
    try:
        return bool(version(distribution))
    except PackageNotFoundError:
        return False


def run(call: str) -> tuple[int, str]:
    """Exit status and stderr of `rsn` with these arguments."""
    said = io.StringIO()
    with (
        patch("sys.argv", ["rsn", *shlex.split(call)]),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(said),
    ):
        try:
            rsn()
        except SystemExit as stopped:
            return int(stopped.code or 0), said.getvalue()
    return 0, said.getvalue()


def write_inputs() -> None:
    """Write an image, its annotations, and the beginnings of files of other formats."""
    assert set(NEED_AN_EXTRA.values()) <= set(EXTRAS)
    cv2.imwrite("image.png", np.full((90, 120, 3), 128, np.uint8))
    person = {
        "id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 60, 70], "area": 4200, "iscrowd": 0,
        "num_keypoints": 17, "keypoints": [40, 40, 2] * 17,
    }  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(COCO_17.keypoint_names)}
    image = {"id": 1, "file_name": "image.png", "width": 120, "height": 90}
    people = {"images": [image], "categories": [category], "annotations": [person]}
    Path("people.json").write_text(json.dumps(people), encoding="utf-8")
    Path("results.json").write_text(json.dumps([person | {"score": 1.0}]), encoding="utf-8")
    Path("video.mp4").write_bytes(bytes(100))
    Path("detector.onnx").write_bytes(bytes(100))
    Path("image.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    Path("labels.mat").write_bytes(b"MATLAB 5.0 MAT-file".ljust(200))
    Path("labels.slp").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    Path("run").mkdir()
    folder = Path("project/labeled-data/video")
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "img0.png"), np.full((90, 120, 3), 128, np.uint8))
    (folder / "CollectedData_me.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))


if __name__ == "__main__":
    main()
