"""Invalid metadata in weights files: one sentence each, before a network is built."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command import WHOLE, rsn
from rsn.errors import WeightsError
from rsn.skeletons import LSP_14
from rsn.weights.loading import convert_weights, load_model
from rsn.weights.metadata import METADATA_KEY
from rsn.weights.sources import load_metadata

# setting, value, message
OF_THE_METADATA: list[tuple[str, Any, str]] = [
    ("input_size", [10**6, 10**6], r"Invalid input_size: .* multiples of 32 up to 2048, got \(1000000, 1000000\)"),
    ("input_size", [-256, -192], r"got \(-256, -192\)"),
    ("input_size", [0, 0], r"got \(0, 0\)"),
    ("input_size", [250, 190], r"got \(250, 190\)"),
    ("input_size", [256], "Invalid length of 'input_size': expected more than 1 values"),
    ("input_size", 256, "Invalid type for 'input_size': expected list, got number 256"),
    ("input_size", [256.5, True], "'input_size.0': expected whole number, got number 256.5"),
    ("person_threshold", 7, "person_threshold: expected a number from 0 to 1, got 7"),
    ("keypoint_threshold", -1, "keypoint_threshold: expected a number from 0 to 1, got -1"),
    ("detector", {"box_threshold": 2}, "box_threshold: expected a number from 0 to 1, got 2"),
    ("detector", {"image_sizes": [100]}, "image_sizes: expected multiples of 32"),
    ("detector", {"image_sizes": []}, "image_sizes: expected multiples of 32"),
    ("model", 7, "Invalid type for 'model': expected text, got number 7"),
    ("model", ["rsn18"], r"Invalid type for 'model': expected text, got list \['rsn18'\]"),
    ("model", None, "Invalid type for 'model': expected text, got nothing"),
    ("codec", {"name": "megvii", "blur_kernel_size": 10**9 + 1}, "kernel size: expected an odd number from 5 to 99"),
    ("codec", {"name": "megvii", "blur_kernel_size": 4}, "kernel size: expected an odd number from 5 to 99, got 4"),
    ("codec", {"name": "megvii", "blur_kernel_size": 5.5}, "'blur_kernel_size': expected whole number, got number 5.5"),
    ("codec", {"name": "megvii", "blur_kernel_size": 10**400}, "kernel size: expected an odd number"),
    ("codec", {"name": "megvii", "blur": 5}, "Unknown key: 'blur'"),
    ("codec", {"name": "mmpos"}, "no codec named 'mmpos'; did you mean mmpose"),
    ("codec", {"blur_kernel_size": 5}, "Invalid codec: expected a name, or a name and options"),
    ("codec", 5, "Invalid codec: expected a name, or a name and options, got 5"),
    ("bbox_padding", [1e300, 1e300], "Invalid bbox_padding: expected two factors above 0 and up to 10"),
    ("mean", ["a", 0, 0], "'mean.0': expected number, got text 'a'"),
    # pydantic 2.5 does not take this for a number.
    ("mean", [10**400, 0, 0], "(Invalid mean|'mean.0'): expected (three finite numbers, got .inf|number)"),
    ("codec", ["megvii"], "Invalid codec: expected a name, or a name and options"),
    ("metrics", {"AP": "high"}, "'metrics.AP': expected number, got text 'high'"),
    ("skeleton", "coco", "'skeleton': expected mapping, got text 'coco'"),
    ("skeleton", {}, "Missing key: 'skeleton.name'"),
    ("color", "red", "Unknown key: 'color'"),
    ("uncertainty", {"scale": 0, "spread_exponent": 1, "score_decay": 1}, "Invalid uncertainty: expected a scale"),
    ("uncertainty", {"scale": 1, "spread_exponent": -1, "score_decay": 1}, "Invalid uncertainty: expected a scale"),
    ("uncertainty", {"scale": 1}, "Missing key: 'uncertainty.spread_exponent'"),
]  # fmt: skip
OF_THE_SKELETON: list[tuple[str, Any, str]] = [
    ("name", None, "'skeleton.name': expected text, got nothing"),
    ("keypoint_names", [1] * 17, "'skeleton.keypoint_names.0': expected text, got number 1; .* and 13 more"),
    ("keypoint_names", ["nose"] * 17, "keypoint names repeat"),
    ("keypoint_names", [], "has no keypoints"),
    ("limbs", [[0, 99]], "Invalid limbs: expected keypoints 0 to 16"),
    ("limbs", [[-1, 0]], "Invalid limbs: expected keypoints 0 to 16"),
    ("limbs", [[1]], "Invalid length of 'skeleton.limbs.0': expected more than 1 values"),
    ("upper_body", [17], "Invalid upper_body: expected keypoints 0 to 16"),
    ("upper_body", [[1]], "expected whole number, got list"),
    ("sigmas", [0.1], "Invalid sigmas: expected 17 positive numbers"),
    ("sigmas", ["a"] * 17, "'skeleton.sigmas.0': expected number, got text 'a'"),
    ("flip_pairs", [[0, 0]], "two pairs, or twice in one"),
    ("flip_pairs", "x", "'skeleton.flip_pairs': expected list, got text 'x'"),
]
Forge = Callable[[str], Path]


@pytest.fixture
def document(random_weights: Path) -> dict[str, Any]:
    """The metadata in a weights file, as JSON."""
    length = struct.unpack("<Q", random_weights.read_bytes()[:8])[0]
    header = json.loads(random_weights.read_bytes()[8 : 8 + length])
    return json.loads(header["__metadata__"][METADATA_KEY])


@pytest.fixture
def forge(random_weights: Path, tmp_path: Path) -> Forge:
    """Writes a weights file with another text as its metadata."""

    def file_with(metadata: str) -> Path:
        data = random_weights.read_bytes()
        end = 8 + struct.unpack("<Q", data[:8])[0]
        header = json.dumps(json.loads(data[8:end]) | {"__metadata__": {METADATA_KEY: metadata}}).encode()
        header += b" " * (-len(header) % 8)
        path = tmp_path / "hostile.safetensors"
        path.write_bytes(struct.pack("<Q", len(header)) + header + data[end:])
        return path

    return file_with


def refused(path: Path, says: str) -> None:
    """Assert that every reader of metadata rejects a file with this message."""
    readers = (
        load_metadata,
        load_model,
        lambda path: convert_weights(path, path.with_name("out.safetensors")),
    )
    for read in readers:
        with pytest.raises(WeightsError, match=says) as caught:
            read(path)
        sentence = str(caught.value)
        assert sentence.startswith(f"{path}: ")
        assert len(sentence.removeprefix(str(path))) < 600
        assert "\n" not in sentence
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(("setting", "value", "says"), OF_THE_METADATA)
def test_invalid_settings_are_rejected(
    document: dict[str, Any], forge: Forge, setting: str, value: object, says: str
) -> None:
    refused(forge(json.dumps(document | {setting: value})), says)


@pytest.mark.parametrize(("setting", "value", "says"), OF_THE_SKELETON)
def test_invalid_skeletons_are_rejected(
    document: dict[str, Any], forge: Forge, setting: str, value: object, says: str
) -> None:
    refused(forge(json.dumps(document | {"skeleton": document["skeleton"] | {setting: value}})), says)


def test_too_many_keypoints_are_rejected(document: dict[str, Any], forge: Forge) -> None:
    skeleton = {
        "name": "many",
        "keypoint_names": [f"j{i}" for i in range(20_000)],
        "limbs": [],
        "upper_body": [],
    }
    refused(forge(json.dumps(document | {"skeleton": skeleton})), "at most 1000 keypoints, got 20000")


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "rsn50"},
        {"options": {"refine": "last"}},
        {"skeleton": {"keypoint_names": LSP_14.keypoint_names, "limbs": [], "upper_body": []}},
    ],
)
def test_metadata_of_another_network_is_rejected(
    document: dict[str, Any], forge: Forge, changed: dict[str, Any]
) -> None:
    if "skeleton" in changed:
        changed = {"skeleton": {"name": "other", **changed["skeleton"]}}
    path = forge(json.dumps(document | changed))
    for read in (load_model, lambda path: convert_weights(path, path.with_name("out.safetensors"))):
        with pytest.raises(WeightsError, match=r"\d+ tensors do not fit this network") as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"model": "rsn19"}, "no model named 'rsn19'; did you mean rsn18.*register_model"),
        ({"model": "\x1b[31m" * 10_000}, r"no model named '\\x1b.{,330}\.\.\.'"),
        ({"options": {"refine": "first"}}, "no refine named 'first'"),
        ({"options": {"num_stages": 10**9}}, "Invalid options of model 'res18': .*num_stages"),
    ],
)
def test_models_that_cannot_be_built_are_refused(
    document: dict[str, Any], forge: Forge, changed: dict[str, Any], says: str
) -> None:
    path = forge(json.dumps(document | changed))
    with pytest.raises(WeightsError, match=says) as caught:
        load_model(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[" * 100_000, "9" * 5000, '{"model": NaN', '"rsn18"', "[]"])
def test_text_that_is_no_metadata_is_rejected(forge: Forge, text: str) -> None:
    refused(forge(text), "model metadata cannot be read: (not valid JSON|Invalid type: expected mapping)")


def test_commands_report_invalid_metadata_in_one_sentence(document: dict[str, Any], forge: Forge, image: Path) -> None:
    path = forge(json.dumps(document | {"input_size": [10**6, 10**6]}))
    for command in (("models", "show", path), ("predict", image, *WHOLE, "--model", path)):
        done = rsn(*command, cwd=path.parent)
        assert done.returncode == 1
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert done.stderr.startswith(f"rsn: {path}: the file's model metadata cannot be read: Invalid input_size")


def test_describe_removes_control_characters_from_notes(document: dict[str, Any], forge: Forge) -> None:
    from rsn.weights.model_table import describe

    path = forge(json.dumps(document | {"notes": "good\x1b[2J\nrsn: all is well"}))
    assert "good [2J rsn: all is well" in describe(str(path)).splitlines()[-1]
