"""TensorRT engines, as far as they can be tried without its GPU: a program that takes trtexec's arguments stands in.

It keeps the ONNX file as the engine, runs it in ONNX Runtime, and writes what it answers as trtexec does.
"""

import json
import os
import sys
from pathlib import Path

import pytest
import torch

from command import rsn
from rsn import PoseEstimator, create_model
from rsn.errors import WeightsError
from rsn.exporting.run import export_model
from rsn.networks.card import Card
from rsn.networks.weights import save_weights

STAND_IN = """#!{python}
import os, shutil, sys
import numpy as np

given = dict(word.removeprefix("--").partition("=")[::2] for word in sys.argv[1:])
with open(os.environ["CALLS"], "a") as log:
    print(*sys.argv[1:], file=log)
if "FAIL" in os.environ:
    sys.exit(print("[I] Start parsing network model\\n[E] Error Code 1: Cuda Runtime (no device)") or 1)
if "onnx" in given:
    shutil.copy(given["onnx"], given["saveEngine"])
else:
    import onnxruntime
    session = onnxruntime.InferenceSession(open(given["loadEngine"], "rb").read())
    shape = [int(side) for side in given["shapes"].removeprefix("crops:").split("x")]
    crops = np.fromfile(given["loadInputs"].removeprefix("crops:"), np.uint8).reshape(shape)
    answers = dict(zip([output.name for output in session.get_outputs()], session.run(None, {{"crops": crops}})))
    with open(given["exportOutput"], "w") as file:
        entries = [
            '{{ "name" : "%s"\\n  , "dimensions" : "%s"\\n  , "values" : [ %s ]\\n  }}' % (
                name, "x".join(map(str, values.shape)), ", ".join("%g" % value for value in values.ravel())
            )
            for name, values in sorted(answers.items())
        ]
        print("[", "\\n, ".join(entries), "]", file=file)
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_weights(path, create_model("res18"), Card("res18", input_size=(64, 64)))
    return path


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stand-in, first on the PATH, writes what it is called with."""
    program = tmp_path / "bin" / "trtexec"
    program.parent.mkdir()
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


@pytest.mark.slow
def test_an_engine_is_built_compared_and_described(weights: Path, calls: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "m.engine"
    _, comparison = export_model(weights, output, format="tensorrt", decode=True)
    assert comparison.heatmaps <= 1e-4
    assert sorted(os.listdir(output.parent)) == ["m.engine", "m.engine.json"]
    assert json.loads((output.parent / "m.engine.json").read_text())["decode"] is True
    build, batch, one = calls.read_text().splitlines()
    shapes = "--minShapes=crops:1x3x64x64 --optShapes=crops:32x3x64x64 --maxShapes=crops:256x3x64x64"
    assert f"{shapes} --noTF32 --skipInference" in build
    assert f"--shapes=crops:{comparison.crops}x3x64x64" in batch
    assert "--shapes=crops:1x3x64x64" in one


@pytest.mark.slow
def test_what_trtexec_says_is_told_and_nothing_is_kept(
    weights: Path, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIL", "1")
    done = rsn("export", weights, "--format", "tensorrt", "--output", tmp_path / "out" / "m.engine")
    assert done.returncode == 1
    assert done.stderr == "rsn: trtexec failed with status 1: [E] Error Code 1: Cuda Runtime (no device)\n"
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.slow
def test_half_precision_is_that_of_the_graph(weights: Path, calls: Path, tmp_path: Path) -> None:
    export_model(weights, tmp_path / "m.engine", format="tensorrt", precision="fp16")
    assert "--stronglyTyped" in calls.read_text()


def test_what_tensorrt_does_not_take_is_said(weights: Path, calls: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="leave out --preprocess"):
        export_model(weights, tmp_path / "m.engine", format="tensorrt", preprocess=True)


def test_an_engine_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="a TensorRT file is a program"):
        PoseEstimator(tmp_path / "m.engine")
