"""Saving and loading weights, and files that are rejected."""

import json
import pickle
import shutil
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from rsn import create_model, load_weights, register_model
from rsn.codecs import MegviiCodec
from rsn.errors import RsnError, UnknownNameError, WeightsError
from rsn.skeletons import MPII_16
from rsn.weights.files import read_metadata
from rsn.weights.loading import load_model, load_network, save_weights
from rsn.weights.metadata import ModelMetadata
from rsn.weights.sources import load_metadata, weights_path


def same(a: torch.nn.Module, b: torch.nn.Module, tolerance: float = 0.0) -> bool:
    states = zip(a.state_dict().items(), b.state_dict().values(), strict=True)
    return all(
        torch.allclose(x, y, atol=tolerance, rtol=tolerance) for (key, x), y in states if "num_batches" not in key
    )


def test_saved_weights_and_metadata_are_loaded(tmp_path: Path) -> None:
    model = create_model("rsn18", num_keypoints=16)
    metadata = ModelMetadata(
        "rsn18",
        skeleton=MPII_16,
        input_size=(256, 256),
        bbox_padding=(1.25, 1.25),
        codec=MegviiCodec(blur_kernel_size=9),
        steps=7,
    )
    save_weights(tmp_path / "w.safetensors", model, metadata)
    loaded, its_metadata = load_network(tmp_path / "w.safetensors")
    assert its_metadata == metadata
    assert same(model, loaded)
    assert not loaded.training


def test_half_precision_weights_are_loaded_as_float32(tmp_path: Path) -> None:
    model = create_model("rsn18")
    save_weights(tmp_path / "half.safetensors", model, ModelMetadata("rsn18"), half=True)
    loaded, _ = load_network(tmp_path / "half.safetensors")
    assert {value.dtype for value in loaded.state_dict().values()} == {torch.float32, torch.int64}
    assert same(model, loaded, tolerance=1e-3)
    assert (tmp_path / "half.safetensors").stat().st_size < 25e6


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "meta": {}}, lambda s: {"model": s}])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_load_weights_removes_wrappers_and_prefixes(tmp_path: Path, wrap, prefix: str) -> None:
    model, other = create_model("rsn18"), create_model("rsn18")
    torch.save(wrap({prefix + key: value for key, value in model.state_dict().items()}), tmp_path / "w.pth")
    load_weights(other, tmp_path / "w.pth")
    assert same(model, other)


def test_load_weights_folds_biases_and_converts_bgr_to_rgb() -> None:
    model, reference = create_model("rsn18").eval(), create_model("rsn18").eval()
    state = {
        key.replace("stem.reduce", "top.conv").replace(".norm.", ".bn."): value
        for key, value in reference.state_dict().items()
    }
    state["top.conv.conv.bias"] = torch.randn(64)
    load_weights(model, state)
    x = torch.randn(2, 3, 64, 64)
    stem = reference.stem.reduce
    with_bias = stem.norm(stem.conv(x.flip(1)) + state["top.conv.conv.bias"].view(1, -1, 1, 1)).relu()
    torch.testing.assert_close(model.stem.reduce(x), with_bias, atol=1e-4, rtol=1e-4)


def test_load_weights_lists_the_first_ten_tensors_that_do_not_fit() -> None:
    says = r"^the weights: \d+ tensors do not fit this network, they are of rsn50 with 17 keypoints: stages\.0\.skips"
    with pytest.raises(WeightsError, match=says) as refused:
        load_weights(create_model("2xrsn50"), create_model("rsn50").state_dict())
    assert str(refused.value).count(" is missing") == 10
    assert str(refused.value).endswith("; ...")


def test_load_weights_reports_another_number_of_keypoints() -> None:
    says = r"they are of rsn18 with 16 keypoints: .*heads.*16.*the network's is .17"
    with pytest.raises(WeightsError, match=says):
        load_weights(create_model("rsn18"), create_model("rsn18", num_keypoints=16).state_dict())


def test_load_weights_rejects_numbers_that_are_not_finite() -> None:
    state = create_model("rsn18").state_dict()
    state["stem.reduce.norm.running_var"][3] = float("nan")
    with pytest.raises(WeightsError, match=r"1 tensors hold numbers.* diverged: stem\.reduce\.norm\.running_var$"):
        load_weights(create_model("rsn18"), state)


def test_rejected_weights_leave_the_network_unchanged() -> None:
    model = create_model("rsn18")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(WeightsError):
        load_weights(model, {**before, "odd": torch.zeros(1), "stem.reduce.conv.weight": torch.zeros(64, 3, 7, 7)})
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


class OtherNetwork(torch.nn.Module):
    """A network of other code, with tensor names that are converted in checkpoints of known repositories."""

    def __init__(self) -> None:
        super().__init__()
        self.prm = torch.nn.ModuleDict({"conv1": torch.nn.Conv2d(3, 4, 1), "bn1": torch.nn.BatchNorm2d(4)})


def test_load_weights_fills_any_module(tmp_path: Path) -> None:
    model, other = OtherNetwork(), OtherNetwork()
    torch.save({"state_dict": model.state_dict()}, tmp_path / "w.pth")
    load_weights(other, tmp_path / "w.pth")
    assert same(model, other)
    with pytest.raises(WeightsError, match=r"1 tensors do not fit this network: prm\.conv1\.weight is \(4, 3"):
        load_weights(other, {**model.state_dict(), "prm.conv1.weight": torch.zeros(4, 3, 3, 3)})


class Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize(
    ("dump", "says"),
    [
        (torch.save, "asks for pathlib"),
        (
            lambda value, path: torch.save(value, path, _use_new_zipfile_serialization=False),
            "asks for pathlib",
        ),
        (lambda value, path: path.write_bytes(pickle.dumps(value)), "holds no weights that can be read"),
        (lambda value, path: path.write_bytes(pickle.dumps(value, protocol=2)), "asks for pathlib"),
    ],
)
def test_load_weights_does_not_run_code_in_a_pickle(tmp_path: Path, dump, says: str) -> None:
    dump({"model": Payload(tmp_path / "ran")}, tmp_path / "hostile.pth")
    with pytest.raises(WeightsError, match=rf"hostile\.pth: .*{says}"):
        load_weights(create_model("rsn18"), tmp_path / "hostile.pth")
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def history_buffer(monkeypatch: pytest.MonkeyPatch) -> type:
    """The class of MMEngine, as far as a checkpoint contains it."""

    class HistoryBuffer:
        def mean(self) -> None: ...

        def __init__(self) -> None:
            self._log_history = np.array([0.5])
            self.statistics_methods = {"mean": HistoryBuffer.mean}

    HistoryBuffer.__module__, HistoryBuffer.__qualname__ = "mmengine.logging.history_buffer", "HistoryBuffer"
    HistoryBuffer.mean.__module__, HistoryBuffer.mean.__qualname__ = (
        HistoryBuffer.__module__,
        "HistoryBuffer.mean",
    )
    for name in ("mmengine", "mmengine.logging", HistoryBuffer.__module__):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules[HistoryBuffer.__module__].HistoryBuffer = HistoryBuffer
    return HistoryBuffer


def test_load_weights_ignores_the_log_of_mmpose(
    tmp_path: Path, history_buffer: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, other = create_model("rsn18"), create_model("rsn18")
    log = {"log_scalars": {"train/loss": history_buffer()}, "runtime_info": {"best": np.float64(0.7)}}
    torch.save({"state_dict": model.state_dict(), "message_hub": log}, tmp_path / "epoch_210.pth")
    monkeypatch.delitem(sys.modules, history_buffer.__module__)
    load_weights(other, tmp_path / "epoch_210.pth")
    assert same(model, other)


NO_WEIGHTS = {
    "is empty": b"",
    "is a web page": b"\n<!DOCTYPE html><html>not found</html>",
    "damaged, truncated, or something else": b"\x00" * 100,
}


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("says", NO_WEIGHTS)
def test_load_weights_rejects_other_files(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / name).write_bytes(NO_WEIGHTS[says])
    with pytest.raises(WeightsError, match=rf"w\..*{says}"):
        load_weights(create_model("rsn18"), tmp_path / name)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_load_model_rejects_truncated_checkpoints(tmp_path: Path, zipped: bool, share: float) -> None:
    state = {"stem.reduce.conv.weight": torch.randn(64, 3, 7, 7)}
    torch.save(state, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    data = (tmp_path / "w.pth").read_bytes()
    (tmp_path / "w.pth").write_bytes(data[: int(share * len(data))])
    with pytest.raises(WeightsError, match=r"w\.pth: holds no weights that can be read: .*download it again"):
        load_model(tmp_path / "w.pth")


@pytest.mark.parametrize("missing", [100, 34_000_000])
def test_load_model_rejects_truncated_safetensors(tmp_path: Path, missing: int) -> None:
    save_weights(tmp_path / "w.safetensors", create_model("rsn18"), ModelMetadata("rsn18"))
    data = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(data[:-missing])
    for read in (load_model, load_metadata):
        with pytest.raises(WeightsError, match=r"w\.safetensors: holds no weights that can be read"):
            read(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({0: torch.zeros(1)}, "no tensors by name"),
        ([torch.zeros(1)], "not a dictionary of tensors"),
        (torch.nn.Linear(1, 1), "asks for torch.nn"),
    ],
)
def test_load_model_rejects_checkpoints_without_weights(tmp_path: Path, value: object, says: str) -> None:
    torch.save(value, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=rf"w\.pth: .*{says}"):
        load_model(tmp_path / "w.pth")


def test_load_model_rejects_torchscript(tmp_path: Path) -> None:
    torch.jit.trace(torch.nn.Linear(1, 1), torch.zeros(1, 1)).save(tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"w\.pth: is a program"):
        load_model(tmp_path / "w.pth")


def test_load_model_detects_the_file_type_by_content(tmp_path: Path) -> None:
    model = create_model("rsn18")
    save_weights(tmp_path / "w.safetensors", model, ModelMetadata("rsn18", input_size=(96, 64)))
    shutil.move(tmp_path / "w.safetensors", tmp_path / "ours.pth")
    torch.save(model.state_dict(), tmp_path / "theirs.safetensors")
    ours, metadata = load_network(tmp_path / "ours.pth")
    theirs = create_model("rsn18")
    load_weights(theirs, tmp_path / "theirs.safetensors")
    assert metadata.input_size == (96, 64)
    assert same(ours, theirs)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"input_size": (250, 190)}, r"multiples of 32.*\(250, 190\)"),
        ({"input_size": (64.0, 64.0)}, "multiples of 32"),
        ({"std": (1.0, 1.0, 0.0)}, "Invalid std: expected numbers above 0"),
        ({"mean": (0.5, 0.5)}, "Invalid mean: expected three finite numbers"),
        ({"bbox_padding": (1.25, float("nan"))}, "Invalid bbox_padding"),
    ],
)
def test_metadata_rejects_invalid_settings(setting: dict, says: str) -> None:
    with pytest.raises(WeightsError, match=says):
        ModelMetadata("rsn18", **setting)


def test_read_metadata_rejects_a_file_without_metadata(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="no model metadata"):
        read_metadata(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("rsn18.startr", UnknownNameError, "rsn18.starter"),
        ("rsn18", WeightsError, "names a network without weights"),
        ("missing.pth", WeightsError, "no such weights file"),
    ],
)
def test_load_model_rejects_unknown_names(name: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        load_model(name)


@pytest.mark.parametrize("name", ["rsn18.starter", "rsn18.people"])
def test_thresholds_and_metrics_are_read_from_the_json_file_beside_the_weights(name: str) -> None:
    beside = json.loads(weights_path(name).with_suffix(".json").read_text())
    assert beside["metrics"]
    assert beside.items() <= load_metadata(name).to_document().items()


def test_registered_model_is_saved_and_loaded(tmp_path: Path) -> None:
    def build(num_keypoints: int, width: int = 4) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Conv2d(3, width, 3), torch.nn.Conv2d(width, num_keypoints, 3))

    register_model("two-convolutions", build)
    network = create_model("two-convolutions", skeleton=MPII_16, width=8)
    metadata = ModelMetadata("two-convolutions", options={"width": 8}, skeleton=MPII_16)
    save_weights(tmp_path / "w.safetensors", network, metadata)
    model = load_model(tmp_path / "w.safetensors")
    assert model.metadata == metadata
    crops = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(model(crops), network(crops))
    with pytest.raises(RsnError, match=r"Invalid options of model 'two-convolutions': .*depth"):
        create_model("two-convolutions", depth=3)


def test_load_model_names_a_model_that_is_not_registered(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", torch.nn.Conv2d(3, 17, 1), ModelMetadata("my-network"))
    with pytest.raises(WeightsError, match=r"no model named 'my-network'.*rsn\.register_model"):
        load_model(tmp_path / "w.safetensors")


def test_load_model_rejects_a_detector() -> None:
    with pytest.raises(WeightsError, match=r"rsn18\.people: finds person boxes, not keypoints"):
        load_model("rsn18.people")


def test_pose_model_is_saved_and_filled_like_its_network(random_weights: Path, tmp_path: Path) -> None:
    model, other = load_model(random_weights), load_model(random_weights)
    torch.nn.init.zeros_(other.network.stem.reduce.conv.weight)
    save_weights(tmp_path / "w.safetensors", model, model.metadata)
    load_weights(other, tmp_path / "w.safetensors")
    assert same(model, other)
    assert same(model, load_model(tmp_path / "w.safetensors"))
