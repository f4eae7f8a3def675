"""Exported files: run by their runtimes alone, opened by the estimator, written only if their results are right."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from command import WHOLE, rsn
from rsn import MPII_16, PoseEstimator, create_model, register_model
from rsn.codecs import MegviiCodec, create_codec
from rsn.data.reading import read_dataset
from rsn.errors import DeviceError, MissingDependencyError, RsnError, WeightsError
from rsn.export import run as run
from rsn.export.formats import SUFFIXES, open_graph
from rsn.export.run import described, export_model
from rsn.inference.exported import KEYS, Export
from rsn.io.downloads import sha256_of
from rsn.io.images import read_image
from rsn.weights.loading import load_model, load_network, save_weights
from rsn.weights.metadata import ModelMetadata
from rsn.weights.uncertainty import Uncertainty

NO_TORCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "rsn"):
            raise ImportError(name)

sys.meta_path.insert(0, NoTorch())
import numpy as np

crops = np.load("crops.npy")
"""
RUNTIMES = {
    "onnx": """
import onnxruntime
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs()]
answers = [session.run(None, {"crops": batch}) for batch in (crops, crops[:1])]
""",
    "openvino": """
import openvino
model = openvino.Core().compile_model("model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
names = ["keypoints", "scores", "heatmaps"]
results = [model({"crops": batch}) for batch in (crops, crops[:1])]
answers = [[result[name] for name in names] for result in results]
""",
}
SAVE = """
for count, answer in enumerate(answers):
    np.savez(f"answers_{count}.npz", **dict(zip(names, answer, strict=True)))
print("torch" in sys.modules)
"""


@dataclass
class Weights:
    path: Path
    crops: np.ndarray  # (N, 64, 64, 3) uint8 RGB
    heatmaps: torch.Tensor


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """An untrained network, crops, and its heatmaps by PyTorch."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    metadata = ModelMetadata("res18", input_size=(64, 64), uncertainty=Uncertainty(1.0, 1.0, 1.0))
    save_weights(path, create_model("res18"), metadata)
    network, metadata = load_network(path)
    crops = np.random.default_rng(0).integers(0, 256, (32, 64, 64, 3)).astype(np.uint8)
    with torch.inference_mode():
        heatmaps = network(metadata.normalize(torch.from_numpy(crops).permute(0, 3, 1, 2)))
    return Weights(path, crops, heatmaps)


@pytest.fixture(scope="module")
def files(weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One export per format, with all options."""
    folder = tmp_path_factory.mktemp("exports")
    files = {name: folder / f"model{SUFFIXES[name]}" for name in SUFFIXES}
    for name, file in files.items():
        export_model(weights.path, file, format=name, preprocess=True, decode=True)
    return files


@pytest.mark.parametrize("name", RUNTIMES)
def test_runtime_without_torch_gives_the_results_of_torch(name: str, files: dict[str, Path], weights: Weights) -> None:
    folder = files[name].parent
    np.save(folder / "crops.npy", weights.crops)
    code = NO_TORCH + RUNTIMES[name] + SAVE
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
    keypoints, scores = MegviiCodec().decode(weights.heatmaps)
    for number, count in enumerate((32, 1)):
        answers = np.load(folder / f"answers_{number}.npz")
        peak = weights.heatmaps.abs().max()
        assert np.abs(answers["heatmaps"] - weights.heatmaps[:count].numpy()).max() <= 1e-4 * peak
        np.testing.assert_allclose(answers["scores"], scores[:count], atol=1e-4)
        np.testing.assert_allclose(answers["keypoints"], keypoints[:count], atol=0.01)


def test_torch_export_file_runs_without_rsn(files: dict[str, Path], weights: Weights) -> None:
    folder = files["torch-export"].parent
    np.save(folder / "crops.npy", weights.crops)
    code = NO_TORCH.replace('("torch", "rsn")', '("rsn",)') + (
        "import torch\nwith torch.inference_mode():\n"
        "    answer = torch.export.load('model.pt2').module()(torch.from_numpy(crops))\n"
        "np.save('answer.npy', answer[2].numpy())\nprint('rsn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
    found = np.load(folder / "answer.npy")
    assert np.abs(found - weights.heatmaps.numpy()).max() <= 1e-4 * weights.heatmaps.abs().max()


def test_program_in_the_documentation_equals_the_estimator(files: dict[str, Path], tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
    program = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[-1]
    shutil.copy(files["onnx"], tmp_path / "rsn18.onnx")
    noise = np.random.default_rng(2).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "image.jpg"), cv2.resize(noise, (120, 90), interpolation=cv2.INTER_CUBIC))
    code = NO_TORCH.split("import numpy")[0] + program + "np.savez('keypoints.npz', keypoints=keypoints, scores=scores)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "keypoints.npz")
    person = PoseEstimator(files["onnx"])(read_image(tmp_path / "image.jpg"), [[20, 10, 40, 70]], box_format="xywh")[0]
    np.testing.assert_allclose(found["keypoints"], person.keypoints, atol=1e-3)
    np.testing.assert_allclose(found["scores"][0], person.raw_scores, atol=1e-5)


@pytest.mark.parametrize("name", SUFFIXES)
def test_file_is_described_inside_and_beside(name: str, files: dict[str, Path], weights: Weights) -> None:
    export = Export.from_metadata(open_graph(name, files[name]).metadata)
    assert export.metadata == load_model(weights.path).metadata
    assert export.weights_sha256 == sha256_of(weights.path)
    assert (export.preprocess, export.decode, export.precision) == (True, True, "fp32")
    beside = json.loads(described(files[name]).read_text())
    assert beside["weights_sha256"] == export.weights_sha256
    assert beside["metadata"]["skeleton"]["keypoint_names"] == list(export.metadata.skeleton.keypoint_names)


@pytest.mark.parametrize(("name", "backend"), [("onnx", "auto"), ("onnx", "openvino"), ("openvino", "auto")])
def test_estimator_opens_an_exported_file(name: str, backend: str, files: dict[str, Path], weights: Weights) -> None:
    image = np.random.default_rng(1).integers(0, 256, (90, 120, 3)).astype(np.uint8)
    boxes = [[5, 5, 50, 80], [60, 10, 40, 70]]
    expected = PoseEstimator(weights.path, backend="torch", flip_test=True)(image, boxes, box_format="xywh")
    estimator = PoseEstimator(files[name], backend=backend, flip_test=True)
    assert estimator.backend == ("onnxruntime" if (name, backend) == ("onnx", "auto") else "openvino")
    for person, other in zip(estimator(image, boxes, box_format="xywh"), expected, strict=True):
        np.testing.assert_allclose(person.keypoints, other.keypoints, atol=0.02)
        np.testing.assert_allclose(person.scores, other.scores, atol=1e-4)
        np.testing.assert_allclose(person.std, other.std, rtol=1e-3)


def test_exported_files_and_weights_form_an_ensemble(files: dict[str, Path], weights: Weights) -> None:
    image, boxes = np.full((90, 120, 3), 90, np.uint8), [[5, 5, 50, 80]]
    alone = PoseEstimator(weights.path, backend="torch")(image, boxes, box_format="xywh")[0]
    for models in ([files["onnx"], files["openvino"]], [files["openvino"], weights.path]):
        both = PoseEstimator(models, low_memory=True)(image, boxes, box_format="xywh")[0]
        np.testing.assert_allclose(both.scores, alone.scores, atol=1e-4)


@pytest.mark.parametrize("codec", ["mmpose", "unbiased"])
def test_export_decodes_with_every_codec(codec: str, weights: Weights, tmp_path: Path) -> None:
    network, metadata = load_network(weights.path)
    save_weights(tmp_path / "w.safetensors", network, replace(metadata, codec=create_codec(codec)))
    _, comparison = export_model(tmp_path / "w.safetensors", tmp_path / "m.onnx", format="onnx", decode=True)
    assert comparison.pixels <= 0.01


@pytest.mark.slow
def test_fp16_halves_the_file(files: dict[str, Path], weights: Weights, tmp_path: Path) -> None:
    for name, numbers in (("onnx", ".onnx"), ("openvino", ".bin")):
        output = tmp_path / f"half{SUFFIXES[name]}"
        export, comparison = export_model(weights.path, output, format=name, precision="fp16")
        full = files[name].with_suffix(numbers)
        assert output.with_suffix(numbers).stat().st_size < 0.6 * full.stat().st_size
        assert 1e-6 < comparison.heatmaps < 1e-2
        assert export.precision == "fp16"


@pytest.mark.slow
def test_int8_quarters_the_file(files: dict[str, Path], weights: Weights, people_json: Path, tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    output = tmp_path / "m.xml"
    people = read_dataset(people_json, people_json.parent / "images")
    export, comparison = export_model(
        weights.path, output, format="openvino", precision="int8", decode=True, calibration=people
    )
    assert export.precision == "int8"
    assert 1e-3 < comparison.heatmaps < 0.5
    assert output.with_suffix(".bin").stat().st_size < 0.35 * files["openvino"].with_suffix(".bin").stat().st_size
    image = np.random.default_rng(1).integers(0, 256, (90, 120, 3)).astype(np.uint8)
    estimator = PoseEstimator(output, flip_test=True)
    assert estimator.backend == "openvino"
    exact = PoseEstimator(files["openvino"], flip_test=True)(image, [[5, 5, 50, 80]], box_format="xywh")[0]
    np.testing.assert_allclose(estimator(image, [[5, 5, 50, 80]], box_format="xywh")[0].scores, exact.scores, atol=0.2)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("m.onnx", ["--format", "onnx", "--precision", "int8"], "int8 is available for OpenVINO only"),
        (
            "m.xml",
            ["--format", "openvino", "--precision", "int8", "--no-people"],
            "needs people to calibrate with",
        ),
        ("m.xml", ["--format", "openvino"], "no other precision does"),
        ("m.xml", ["--format", "openvino", "--precision", "int4"], "did you mean int8"),
    ],
)
def test_int8_needs_openvino_and_calibration(
    name: str, settings: list[str], message: str, weights: Weights, people_json: Path, tmp_path: Path
) -> None:
    people = ["--calibration", people_json, "--images", people_json.parent / "images"]
    given = [setting for setting in settings if setting != "--no-people"]
    done = rsn("export", weights.path, "--output", tmp_path / name, *given, *(people if given == settings else []))
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_int8_names_its_missing_library(
    weights: Weights, people_json: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    people = read_dataset(people_json, people_json.parent / "images")
    with pytest.raises(MissingDependencyError, match=r"precision int8 needs nncf: pip install 'rsn-pose\[int8\]'"):
        export_model(weights.path, tmp_path / "m.xml", format="openvino", precision="int8", calibration=people)


def test_export_with_different_results_is_not_written(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "m.pt2"
    output.write_text("what was there")
    monkeypatch.setitem(run.TOLERANCE, "fp32", 1e-12)
    with pytest.raises(RsnError, match=r"m\.pt2 is not written.*largest difference from PyTorch on 16 crops"):
        export_model(weights.path, output, format="torch-export")
    assert output.read_text() == "what was there"
    assert os.listdir(tmp_path) == ["m.pt2"]


def test_export_command_compares_on_images(weights: Weights, image: Path, tmp_path: Path) -> None:
    done = rsn(
        "export",
        weights.path,
        "--format",
        "torch-export",
        "--output",
        tmp_path / "new" / "m.pt2",
        "--check",
        image,
    )
    assert done.returncode == 0, done.stderr
    assert "largest difference from PyTorch on 4 crops: heatmaps" in done.stderr
    assert sorted(os.listdir(tmp_path / "new")) == ["m.pt2", "m.pt2.json"]


def test_predict_takes_an_exported_file(files: dict[str, Path], image: Path, tmp_path: Path) -> None:
    done = rsn("predict", image, *WHOLE, "--model", files["onnx"], "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "by onnxruntime on cpu" in done.stderr
    assert len(json.loads((tmp_path / "poses.json").read_text())) == 1


def test_evaluate_rejects_an_exported_file_of_another_skeleton(
    files: dict[str, Path], people_json: Path, tmp_path: Path
) -> None:
    pytest.importorskip("hotcoco")
    metadata = ModelMetadata("res18", skeleton=MPII_16, input_size=(64, 64))
    other = with_metadata(files["onnx"], tmp_path / "m.onnx", metadata.to_metadata())
    done = rsn("evaluate", other, "--annotations", people_json, "--images", people_json.parent / "images")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "mpii" in done.stderr


BAD = {
    "an unknown format": ({"format": "onx"}, "m.onnx", "no export format named 'onx'; did you mean onnx"),
    "a suffix of another": ({"format": "onnx"}, "m.xml", r"format onnx is written to files named OUT\.onnx"),
    "an unknown precision": ({"format": "onnx", "precision": "fp15"}, "m.onnx", "did you mean fp16"),
    "a folder": ({"format": "torch-export"}, "folder.pt2", r"folder\.pt2: it is a folder"),
    "no folder": (
        {"format": "torch-export"},
        "file/m.pt2",
        "cannot make the folder .*file: .*; choose another",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_export_reports_unwritable_files(case: str, weights: Weights, tmp_path: Path) -> None:
    (tmp_path / "folder.pt2").mkdir()
    (tmp_path / "file").touch()
    options, output, message = BAD[case]
    with pytest.raises(RsnError, match=message):
        export_model(weights.path, tmp_path / output, **options)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.pt2"]


def test_export_names_a_missing_library(
    weights: Weights, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in ("onnxscript", "onnxruntime", "openvino"):
        monkeypatch.setitem(sys.modules, library, None)
    how = r"pip install 'rsn-pose\[{}\]'"
    with pytest.raises(
        MissingDependencyError, match="export to onnx needs onnxscript, onnxruntime: " + how.format("onnx")
    ):
        export_model(weights.path, tmp_path / "m.onnx", format="onnx")
    with pytest.raises(MissingDependencyError, match="backend onnxruntime needs onnxruntime: " + how.format("onnx")):
        PoseEstimator(files["onnx"])
    with pytest.raises(MissingDependencyError, match="backend openvino needs openvino: " + how.format("openvino")):
        PoseEstimator(files["openvino"])


def test_invalid_exported_files_are_reported_in_one_sentence(files: dict[str, Path], tmp_path: Path) -> None:
    model = files["onnx"]
    about = {"version": "7.0", "weights_sha256": "", "precision": "fp32", "preprocess": True, "decode": True}
    (tmp_path / "noise.onnx").write_bytes(b"noise")
    (tmp_path / "noise.xml").write_bytes(b"noise")
    cases = {
        with_metadata(model, tmp_path / "bare.onnx", None): r"bare\.onnx: was not written by rsn export",
        with_metadata(
            model, tmp_path / "later.onnx", {KEYS[1]: json.dumps(about | {"form": 2})}
        ): r"later\.onnx: was written by rsn 7\.0 in form 2",
        with_metadata(
            model, tmp_path / "other.onnx", {KEYS[1]: "{}"}
        ): r"other\.onnx: has metadata that cannot be read",
        tmp_path / "noise.onnx": r"noise\.onnx: cannot be read by ONNX Runtime",
        tmp_path / "noise.xml": r"noise\.xml: cannot be read by OpenVINO",
        tmp_path / "absent.onnx": r"absent\.onnx: there is no such file",
        files["torch-export"]: r"model\.pt2: a torch\.export file is a program",
    }
    for path, message in cases.items():
        with pytest.raises(WeightsError, match=message) as caught:
            PoseEstimator(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(DeviceError, match=r"backend torch does not run .*model\.onnx; choose onnxruntime"):
        PoseEstimator(files["onnx"], backend="torch")
    with pytest.raises(WeightsError, match="is an exported file"):
        export_model(files["onnx"], tmp_path / "again.onnx", format="onnx")


def with_metadata(file: Path, output: Path, entries: dict[str, str] | None) -> Path:
    """A copy of an ONNX file with other metadata, or with none."""
    import onnx

    model = onnx.load(file)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    del model.metadata_props[:]
    if entries is not None:
        onnx.helper.set_model_props(model, metadata | entries)
    onnx.save(model, output)
    return output


@pytest.mark.slow
@pytest.mark.parametrize("model", ["rsn50", "2xmspn50", "4xrsn18"])
def test_deeper_networks_are_exported(model: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = create_model(model, refine="last")
    save_weights(
        tmp_path / "w.safetensors",
        network,
        ModelMetadata(model, options={"refine": "last"}, input_size=(64, 64)),
    )
    for name in SUFFIXES:
        export_model(tmp_path / "w.safetensors", tmp_path / f"m{SUFFIXES[name]}", format=name, decode=True)


def plain_network(num_keypoints: int) -> torch.nn.Module:
    """A network of other code, with a convolution and a batch norm that can be folded."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 7, stride=4, padding=3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(),
        torch.nn.Conv2d(4, num_keypoints, 1),
    )  # fmt: skip


@pytest.mark.parametrize("name", SUFFIXES)
def test_registered_models_are_exported(name: str, tmp_path: Path) -> None:
    register_model("plain", plain_network)
    metadata = ModelMetadata("plain", input_size=(64, 64))
    save_weights(tmp_path / "w.safetensors", create_model("plain"), metadata)
    output = tmp_path / f"m{SUFFIXES[name]}"
    export, comparison = export_model(tmp_path / "w.safetensors", output, format=name, decode=True)
    assert export.metadata == metadata
    assert comparison.heatmaps < 1e-4
