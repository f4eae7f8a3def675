"""rsn models, and subcommands that take converted weights."""

import json
import os
from pathlib import Path

import pytest
import torch

from command import WHOLE, rsn
from rsn import create_model


def test_models_list_shows_sizes_and_weights() -> None:
    done = rsn("models", "list")
    assert done.returncode == 0
    row = next(line.split() for line in done.stdout.splitlines() if line.startswith("rsn50 "))
    assert row == ["rsn50", "256x192", "19.3", "4.07", "74.7", "rsn50.openmmlab", "[remote]"]
    assert "rsn18.starter [here]" in done.stdout


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("rsn18", ["256x256: 9.14 M parameters", "COCO test-dev, 256x192: AP 71.6", "rsn18.starter [here]"]),
        ("rsn50-wide", ["our reading", "6.331 G", "AP 74.7"]),
        (
            "rsn18.starter",
            ["codec unbiased", "Apache-2.0", "AP 0.59", "thresholds  person 0.07, keypoint 0.3"],
        ),
        ("rsn18.people", ["image sizes 256, 576, without flip test, box threshold 0.31"]),
        ("4xmspn50.openmmlab", ["SHA-256     begins with 7b837afb", "not downloaded yet"]),
    ],
)
def test_models_show_describes_model(name: str, says: list[str], tmp_path: Path) -> None:
    done = rsn("models", "show", name, env={**os.environ, "RSN_CACHE": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert [text for text in says if text not in done.stdout] == []


def test_convert_then_predict(image: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save({"state_dict": create_model("rsn18", refine="last").state_dict()}, tmp_path / "w.pth")
    converted = tmp_path / "w.safetensors"
    done = rsn("models", "convert", tmp_path / "w.pth", converted, "--input-size", 64, 64, "--half")
    assert done.returncode == 0, done.stderr
    assert "rsn18, refine last, input 64x64, coco_17 (17 keypoints)" in done.stderr
    for model in (converted, tmp_path / "w.pth"):
        done = rsn("predict", image, *WHOLE, "--model", model, "--backend", "torch", "--output", tmp_path)
        assert done.returncode == 0, done.stderr
        assert ("has no model metadata" in done.stderr) == (model.suffix == ".pth")
        assert "Warning" not in done.stderr


def test_evaluate_takes_ensemble(people_json: Path, random_weights: Path, tmp_path: Path) -> None:
    arguments = ["--annotations", people_json, "--images", people_json.parent / "images", "--json"]
    options = ["--ensemble-weights", 2, 1, "--low-memory"]
    alone = rsn("evaluate", random_weights, *arguments, tmp_path / "alone.json")
    twice = rsn("evaluate", random_weights, random_weights, *options, *arguments, tmp_path / "twice.json")
    assert twice.returncode == 0, twice.stderr
    documents = [json.loads((tmp_path / name).read_text()) for name in ("alone.json", "twice.json")]
    assert documents[0]["metrics"] == documents[1]["metrics"]
    assert documents[1]["models"] == [str(random_weights)] * 2
    assert alone.stdout == twice.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "rsn-18"], "there is no model or weights file named 'rsn-18'; did you mean rsn18"),
        (["pull", "rsn51.openmmlab"], "did you mean rsn50.openmmlab"),
        (["pull"], "expected at least one"),
        (["convert", "rsn18.starter", "out.pth"], "named OUT.safetensors"),
        (["convert", "rsn18.openmmlab", "out.safetensors"], "copy the file into"),
        (["convert", "w.pth", "out.safetensors", "--input-size", "250", "190"], "multiples of 32"),
        (["convert", "w.pth", "out.safetensors", "--skeleton", "mpii_16"], "mpii_16 has 16"),
        (["convert", "w.pth", "out.safetensors", "--skeleton", "mpi"], "did you mean mpii_16"),
        (["convert", "page.pth", "out.safetensors"], "page.pth: is a web page"),
        (["convert", "cut.pth", "out.safetensors"], "cut.pth: holds no weights that can be read"),
        (["convert", "hostile.pth", "out.safetensors"], "hostile.pth: contains more than tensors"),
        (["convert", "resnet.pth", "out.safetensors"], "alone finds no keypoints"),
    ],
)
def test_models_rejects_invalid_arguments(damaged_weights: Path, arguments: list[str], says: str) -> None:
    offline = {**os.environ, "RSN_CACHE": str(damaged_weights), "RSN_MIRROR": "http://127.0.0.1:9"}
    done = rsn("models", *arguments, cwd=damaged_weights, env=offline)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert says in done.stderr
    assert not list(damaged_weights.glob("out*"))


@pytest.fixture(scope="module")
def damaged_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the weights `w.pth` and files that only look like weights."""
    folder = tmp_path_factory.mktemp("damaged")
    torch.save(create_model("res18").state_dict(), folder / "w.pth")
    torch.save({"layer1.0.conv1.weight": torch.zeros(64, 64, 1, 1)}, folder / "resnet.pth")
    (folder / "page.pth").write_text("<!DOCTYPE html><html>not found</html>")
    (folder / "cut.pth").write_bytes((folder / "w.pth").read_bytes()[:-1000])
    (folder / "hostile.pth").write_bytes(b"cos\nsystem\n(S'touch out'\ntR.")  # a pickle that runs a command
    return folder
