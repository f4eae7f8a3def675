"""The networks: the references' answers, shapes, and what is computed when."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from reference_weights import reference_state
from rsn import create_model, list_models, load_weights
from rsn.errors import UnknownNameError
from rsn.networks.stages import HeatmapHead

PARAMETERS = {"rsn18": 9_144_936, "rsn50": 19_328_584, "2xrsn50": 39_261_904}  # MMPose's, K = 17, no biases


@pytest.mark.parametrize(
    ("oracle", "name", "joints", "inputs"),
    [
        ("orig_rsn18_coco", "rsn18", 17, "x256x192"),
        ("orig_rsn18_mpii", "rsn18", 16, "x256x256"),
        ("mm_rsn18", "rsn18", 17, "x256x192"),
        ("mm_rsn50", "rsn50", 17, "x256x192"),
        ("mm_2xrsn50", "2xrsn50", 17, "x256x192"),
    ],
)
def test_heatmaps_are_the_references(oracles: Path, oracle: str, name: str, joints: int, inputs: str) -> None:
    model = create_model(name, num_joints=joints)
    load_weights(model, reference_state(oracles / f"keys_{oracle}.json"))
    x = torch.from_numpy(np.load(oracles / "inputs.npz")[inputs])
    if oracle.startswith("orig"):
        x = x.flip(1)  # the oracle fed it to a network that takes BGR; ours takes RGB
    expected = torch.from_numpy(np.load(oracles / f"model_{oracle}.npz")["final"])
    with torch.inference_mode():
        torch.testing.assert_close(model.eval()(x), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", list_models())
def test_parameters_are_the_references_without_biases(name: str) -> None:
    model = create_model(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name]
    assert all(module.bias is None for module in model.modules() if isinstance(module, nn.Conv2d))


@pytest.mark.parametrize("name", list_models())
@pytest.mark.parametrize("joints", [1, 14, 17])
def test_shapes_and_gradients(name: str, joints: int) -> None:
    model = create_model(name, num_joints=joints)
    stages = model.heatmaps(torch.randn(2, 3, 64, 96))
    assert [[tuple(level.shape) for level in stage] for stage in stages] == [[(2, joints, 16, 24)] * 4] * len(
        stages
    )
    torch.stack([level.square().mean() for stage in stages for level in stage]).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_forward_is_the_finest_level_of_the_last_stage_and_computes_no_other_head() -> None:
    model = create_model("2xrsn50").eval()
    ran = []
    for module in model.modules():
        if isinstance(module, HeatmapHead):
            module.register_forward_hook(lambda *_: ran.append(1))
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        answer = model(x)
        assert len(ran) == 1
        assert torch.equal(answer, model.heatmaps(x)[-1][-1])


def test_sizes_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="250x190"):
        create_model("rsn18")(torch.zeros(1, 3, 250, 190))


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="rsn18"):
        create_model("rsn-18")
