"""Checkpoints of training programs: nested, with prefixes, with several networks in a file."""

from argparse import Namespace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from rsn import create_model, load_weights
from rsn.errors import RsnWarning, WeightsError
from rsn.models.network import PoseNetwork
from rsn.weights.checkpoints import read_tensors, select_network
from rsn.weights.loading import load_network
from rsn.weights.wrappers import find_networks

State = dict[str, Any]


@cache
def network(number: int = 0, name: str = "rsn18") -> PoseNetwork:
    torch.manual_seed(number)
    return create_model(name)


def state(number: int = 0, prefix: str = "", name: str = "rsn18") -> State:
    return {prefix + key: value for key, value in network(number, name).state_dict().items()}


def loaded(checkpoint: Any, target: str = "rsn18") -> State:
    model = create_model(target)
    load_weights(model, checkpoint)
    return model.state_dict()


def same(found: State, wanted: State) -> bool:
    return all(torch.equal(found[key], value) for key, value in wanted.items() if "num_batches" not in key)


OPTIMIZER = {
    "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(64)}},
    "param_groups": [{"lr": 0.1}],
}
SMALL = {"stem.reduce.conv.weight": torch.ones(2, 3, 7, 7), "stages.0.up.0.lateral.norm.bias": torch.ones(2)}


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "model.", "net.module.", "any."])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"model_state_dict": s, "epoch": 3, "optimizer": OPTIMIZER},
        lambda s: {"net": s, "acc": torch.tensor(0.5)},
        lambda s: {"ema": {"module": s, "updates": 7}},
        lambda s: {"network": {"weights": {"state_dict": s}}},
        lambda s: [s, OPTIMIZER],
    ],
)
def test_find_networks_searches_nested_dictionaries_and_prefixes(wrap: Any, prefix: str) -> None:
    (found,) = find_networks(wrap({prefix + key: value for key, value in SMALL.items()})).values()
    assert found == SMALL


def test_load_weights_takes_an_averaged_model_of_pytorch() -> None:
    assert same(loaded({**state(prefix="module."), "n_averaged": torch.tensor(9)}), state())


def test_find_networks_removes_names_of_wrappers() -> None:
    within = {key.replace("stages.0.", "stages.0._orig_mod.module."): value for key, value in state().items()}
    assert same(loaded(within), state())


@pytest.mark.parametrize(
    ("averaged", "other"),
    [
        ("model_ema", "model"),
        ("state_dict_ema", "state_dict"),
        ("ema", "net"),
        ("params_ema", "params"),
        ("AveragedWeights", "network"),
        ("ema_state_dict", "model_state_dict"),
        ("state_dict", "ema_state_dict"),  # MMEngine's averaging, which exchanges them
    ],
)
def test_averaged_weights_come_first(averaged: str, other: str) -> None:
    first, second = find_networks({other: SMALL, averaged: {"module." + key: value for key, value in SMALL.items()}})
    assert first.startswith(f"{averaged}.")
    assert second.startswith(f"{other}.")


def test_averaged_weights_of_the_same_dictionary_come_first() -> None:
    both = {name + key: value for name in ("model.", "ema.module.") for key, value in SMALL.items()}
    assert list(find_networks({"state_dict": both})) == ["state_dict.ema.", "state_dict.model."]


def test_warning_names_the_network_that_is_used(tmp_path: Path) -> None:
    torch.save({"model": state(1), "model_ema": state(0, "module.")}, tmp_path / "w.pth")
    with pytest.warns(RsnWarning, match=r"w\.pth contains several networks: 'model_ema\.' is used, not 'model\.'"):
        found = loaded(tmp_path / "w.pth")
    assert same(found, state(0))


def test_the_network_that_fits_is_used() -> None:
    both = {"teacher": state(0, name="rsn50"), "student": state(1)}
    with pytest.warns(RsnWarning, match="'student.' is used, not 'teacher.'"):
        found = loaded(both)
    assert same(found, state(1))


def test_equal_weights_with_two_names_give_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    assert select_network({"model": SMALL, "state_dict": dict(SMALL)}, "w.pth") == SMALL
    assert not recwarn.list


def test_load_model_opens_a_nested_checkpoint(tmp_path: Path) -> None:
    torch.save({"model_state_dict": state(prefix="_orig_mod.module."), "epoch": 1}, tmp_path / "w.pth")
    with pytest.warns(RsnWarning):  # what it assumes of weights without metadata
        model, _ = load_network(tmp_path / "w.pth")
    assert same(model.state_dict(), state())


def test_load_weights_ignores_options_of_a_training_program(tmp_path: Path) -> None:
    torch.save({"model": SMALL, "args": Namespace(lr=0.1, nested=[1, {"a": None}])}, tmp_path / "w.pth")
    assert read_tensors(tmp_path / "w.pth").keys() == SMALL.keys()


def test_checkpoint_without_tensors_is_rejected_with_its_keys() -> None:
    with pytest.raises(WeightsError, match="no tensors by name; its keys are epoch, optimizer"):
        load_weights(create_model("rsn18"), {"epoch": 1, "optimizer": {"lr": 0.1}})


def test_network_that_contains_a_resnet_is_not_taken_for_a_resnet() -> None:
    pose = {f"backbone.{key}": torch.zeros(1) for key in ("conv1.weight", "layer1.0.conv1.weight")}
    with pytest.raises(WeightsError, match="do not fit this network"):
        load_weights(create_model("mspn50"), {"state_dict": pose | {"keypoint_head.final.weight": torch.zeros(1)}})
