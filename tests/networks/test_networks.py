"""The networks: the references' answers, shapes, and what is computed when."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from reference_weights import reference_state
from rsn import create_model, list_models, load_weights
from rsn.errors import UnknownNameError
from rsn.networks.complexity import complexity
from rsn.networks.refine import PoseRefine, Refine
from rsn.networks.stages import HeatmapHead

# MMPose's parameters with K = 17, which has no biases either, and multiply-adds at 256x192 of all heads, counted on the
# reference networks. Our reading of the published complexity (-wide) has no such reference.
SIZES = {
    "rsn18": (9_144_936, 2.245),
    "rsn50": (19_328_584, 4.068),
    "rsn101": (39_556_136, 7.940),
    "2xrsn50": (39_261_904, 8.215),
    "3xrsn50": (59_195_224, 12.362),
    "4xrsn50": (79_128_544, 16.510),
    "4xrsn18": (38_393_952, 9.220),
    "mspn50": (25_112_264, 5.073),
    "2xmspn50": (56_800_464, 11.263),
    "3xmspn50": (88_488_664, 17.453),
    "4xmspn50": (120_176_864, 23.643),
}
PUBLISHED_GFLOPS = {
    "rsn50-wide": 6.4,
    "rsn101-wide": 11.5,
    "2xrsn50-wide": 13.9,
    "3xrsn50-wide": 20.7,
    "4xrsn50-wide": 29.3,
}
SMALL = [
    "rsn18",
    "2xrsn50",
    "rsn50-wide",
    "2xmspn50",
    "res18",
]  # one of each kind of block and number of stages


@pytest.mark.parametrize(
    ("oracle", "name", "joints", "inputs"),
    [
        ("orig_rsn18_coco", "rsn18", 17, "x256x192"),
        ("orig_rsn18_mpii", "rsn18", 16, "x256x256"),
        ("mm_rsn18", "rsn18", 17, "x256x192"),
        ("mm_rsn50", "rsn50", 17, "x256x192"),
        ("mm_2xrsn50", "2xrsn50", 17, "x256x192"),
        ("mm_mspn50", "mspn50", 17, "x256x192"),
        ("orig_2xmspn50_coco", "2xmspn50", 17, "x256x192"),
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


@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_the_references(name: str) -> None:
    parameters, billions = SIZES[name]
    size = complexity(name)
    assert size.parameters == parameters
    assert size.multiply_adds / 1e9 == pytest.approx(billions, rel=1e-3)


@pytest.mark.parametrize("name", PUBLISHED_GFLOPS)
def test_wide_networks_have_the_published_complexity(name: str) -> None:
    assert complexity(name).multiply_adds / 1e9 == pytest.approx(PUBLISHED_GFLOPS[name], rel=0.03)


@pytest.mark.parametrize("name", list_models())
def test_no_convolution_has_a_bias(name: str) -> None:
    with torch.device("meta"):
        model = create_model(name)
    assert all(module.bias is None for module in model.modules() if isinstance(module, nn.Conv2d))


@pytest.mark.parametrize("name", SMALL)
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
        create_model("rsn-18")  # a hyphen too many


@pytest.mark.parametrize(("answer", "one_map"), [("orig", False), ("mmpose", True)])
def test_refined_heatmaps_are_the_references(oracles: Path, answer: str, one_map: bool) -> None:
    machine = PoseRefine(17, one_map=one_map).eval()
    load_weights(machine, reference_state(oracles / f"keys_{answer.removesuffix('pose')}_prm17.json"))
    oracle = np.load(oracles / "prm.npz")
    with torch.inference_mode():
        refined = machine(torch.from_numpy(oracle["x"]))
    torch.testing.assert_close(refined, torch.from_numpy(oracle[answer]), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(("refine", "machines"), [("none", 0), ("last", 1), ("all", 8)])
def test_machines_stand_where_they_are_asked_for(refine: Refine, machines: int) -> None:
    model = create_model("2xrsn50", refine=refine)
    assert sum(isinstance(module, PoseRefine) for module in model.modules()) == machines
    heatmaps = model.heatmaps(torch.randn(2, 3, 64, 64))
    assert (heatmaps[-1][-1] >= 0).all() == (refine != "none")
    heatmaps[-1][-1].sum().backward()


def test_refined_networks_have_the_references_size() -> None:
    with torch.device("meta"):
        model = create_model("4xrsn50", refine="all")
    assert sum(parameter.numel() for parameter in model.parameters()) == 79_209_632 - 2 * 16 * 17
