"""Weights files: there and back, and what is refused."""

import pickle
from pathlib import Path

import pytest
import torch

from rsn import create_model, load_weights
from rsn.errors import UnknownNameError, WeightsError
from rsn.networks.card import Card
from rsn.networks.checkpoints import read_card
from rsn.networks.weights import load_model, save_weights
from rsn.skeletons import MPII_16


def same(a: torch.nn.Module, b: torch.nn.Module, tolerance: float = 0.0) -> bool:
    states = zip(a.state_dict().items(), b.state_dict().values(), strict=True)
    return all(
        torch.allclose(x, y, atol=tolerance, rtol=tolerance)
        for (key, x), y in states
        if "num_batches" not in key
    )


def test_weights_and_card_come_back(tmp_path: Path) -> None:
    model = create_model("rsn18", num_joints=16)
    card = Card("rsn18", skeleton=MPII_16, input_size=(256, 256), extension=(1.25, 1.25), blur=9, steps=7)
    save_weights(tmp_path / "w.safetensors", model, card)
    loaded, its_card = load_model(tmp_path / "w.safetensors")
    assert its_card == card
    assert same(model, loaded)
    assert not loaded.training


def test_half_precision_is_read_back_as_float32(tmp_path: Path) -> None:
    model = create_model("rsn18")
    save_weights(tmp_path / "half.safetensors", model, Card("rsn18"), half=True)
    loaded, _ = load_model(tmp_path / "half.safetensors")
    assert {value.dtype for value in loaded.state_dict().values()} == {torch.float32, torch.int64}
    assert same(model, loaded, tolerance=1e-3)
    assert (tmp_path / "half.safetensors").stat().st_size < 25e6


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"state_dict": s, "meta": {}}, lambda s: {"model": s}]
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_wrappers_and_prefixes_are_taken_off(tmp_path: Path, wrap, prefix: str) -> None:
    model, other = create_model("rsn18"), create_model("rsn18")
    torch.save(wrap({prefix + key: value for key, value in model.state_dict().items()}), tmp_path / "w.pth")
    load_weights(other, tmp_path / "w.pth")
    assert same(model, other)


def test_biases_are_folded_and_bgr_becomes_rgb() -> None:
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


def test_what_does_not_fit_is_named_and_counted() -> None:
    says = r"^the weights: \d+ tensors do not fit this network: stages\.0\.skips\.0.* is missing"
    with pytest.raises(WeightsError, match=says):
        load_weights(create_model("2xrsn50"), create_model("rsn50").state_dict())


def test_another_joint_count_is_named() -> None:
    with pytest.raises(WeightsError, match=r"heads.*16.*the network's is .17"):
        load_weights(create_model("rsn18"), create_model("rsn18", num_joints=16).state_dict())


def test_a_refused_file_leaves_the_network_as_it_was() -> None:
    model = create_model("rsn18")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(WeightsError):
        load_weights(
            model, {**before, "odd": torch.zeros(1), "stem.reduce.conv.weight": torch.zeros(64, 3, 7, 7)}
        )
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


class Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("dump", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_code_in_a_pickle_does_not_run(tmp_path: Path, dump) -> None:
    dump({"model": Payload(tmp_path / "ran")}, tmp_path / "hostile.pth")
    with pytest.raises(WeightsError):
        load_weights(create_model("rsn18"), tmp_path / "hostile.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>not found</html>", b"\x00" * 100])
def test_files_that_are_no_weights_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=r"w\."):
        load_weights(create_model("rsn18"), tmp_path / name)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", create_model("rsn18"), Card("rsn18"))
    data = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(data[:-100])
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        load_model(tmp_path / "w.safetensors")


def test_a_file_without_a_card_cannot_be_a_model(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="no model card"):
        read_card(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("rsn18.startr", UnknownNameError, "rsn18.starter"),
        ("rsn18", WeightsError, "names a network without weights"),
        ("missing.pth", WeightsError, "no such weights file"),
    ],
)
def test_names_that_mean_nothing(name: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        load_model(name)
