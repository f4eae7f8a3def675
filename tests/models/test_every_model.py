"""Tests that run for every network of the catalog."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import torch

from rsn import create_model, list_models
from rsn.models.network import PoseNetwork
from rsn.models.stages import HeatmapHead
from rsn.weights.loading import load_network, save_weights
from rsn.weights.metadata import ModelMetadata
from rsn.weights.recognition import infer_metadata

# Three and four stages are more of what two have, 101 layers more of what 50 have, wide ones the same in other sizes;
# of the sizes of all networks see test_networks.py.
QUICK = ("rsn18", "rsn50", "2xrsn50", "mspn50", "res18")


def _slow_unless(names: Collection[str]) -> list[Any]:
    return [name if name in names else pytest.param(name, marks=pytest.mark.slow) for name in list_models()]


@pytest.fixture(scope="module", params=_slow_unless(QUICK))
def named(request: pytest.FixtureRequest) -> tuple[str, PoseNetwork]:
    torch.manual_seed(0)
    return request.param, create_model(request.param)


def test_model_trains_on_a_batch_of_odd_size(named: tuple[str, PoseNetwork]) -> None:
    name, model = named
    stages = model.train().heatmaps(torch.randn(3, 3, 64, 96))
    assert len(stages) == (int(name[0]) if name[0].isdigit() else 1)
    assert all(tuple(level.shape) == (3, 17, 16, 24) for stage in stages for level in stage)
    torch.stack([level.square().mean() for stage in stages for level in stage]).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
    model.zero_grad()


def test_saved_weights_load_and_their_architecture_is_detected(named: tuple[str, PoseNetwork], tmp_path: Path) -> None:
    name, model = named
    assert infer_metadata(model.state_dict()).model == name
    save_weights(tmp_path / "w.safetensors", model, ModelMetadata(name, input_size=(64, 64)))
    loaded, metadata = load_network(tmp_path / "w.safetensors")
    assert metadata.model == name
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(loaded(x), model.eval()(x))


@pytest.mark.parametrize("name", _slow_unless(["rsn18"]))
def test_exported_network_gives_the_same_heatmaps_for_any_batch_size(name: str) -> None:
    model = create_model(name).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(model, (torch.randn(2, 3, 64, 64),), dynamic_shapes=({0: batch},))
    x = torch.randn(5, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(exported.module()(x), model(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("keypoints", [16, 1])
@pytest.mark.parametrize("name", _slow_unless(QUICK))
def test_every_head_has_the_requested_number_of_keypoints(name: str, keypoints: int) -> None:
    with torch.device("meta"):
        model = create_model(name, num_keypoints=keypoints)
    heads = [module for module in model.modules() if isinstance(module, HeatmapHead)]
    assert {head.predict.conv.out_channels for head in heads} == {keypoints}
