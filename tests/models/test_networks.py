"""The networks: results and complexity of the references, shapes, and which heads are computed."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from reference_weights import reference_state
from rsn import create_model, list_models, load_weights
from rsn.errors import UnknownNameError
from rsn.models.complexity import complexity
from rsn.models.prm import PoseRefineMachine, Refine
from rsn.models.stages import HeatmapHead
from rsn.weights.published import MEASURED_COMPLEXITY

# MMPose's parameters with K = 17, which has no biases either; multiply-adds in billions of all heads, counted on the
# reference networks: at 256x192 and 384x288 with K = 17, at 256x256 with K = 16. Our reading of the published
# complexity (-wide) has no such reference.
SIZES = {
    "rsn18": (9_144_936, 2.245, 5.052, 2.981),
    "rsn50": (19_328_584, 4.068, 9.153, 5.411),
    "rsn101": (39_556_136, 7.940, 17.866, 10.575),
    "2xrsn50": (39_261_904, 8.215, 18.484, 10.928),
    "3xrsn50": (59_195_224, 12.362, 27.815, 16.445),
    "4xrsn50": (79_128_544, 16.510, 37.146, 21.963),
    "4xrsn18": (38_393_952, 9.220, 20.745, 12.243),
    "mspn50": (25_112_264, 5.073, 11.414, 6.751),
    "2xmspn50": (56_800_464, 11.263, 25.341, 14.992),
    "3xmspn50": (88_488_664, 17.453, 39.269, 23.233),
    "4xmspn50": (120_176_864, 23.643, 53.197, 31.474),
    "res18": (8_549_320, 2.065, 4.647, 2.741),  # parameters: the authors' 8,558,924 without their biases
}
PUBLISHED_GFLOPS = {
    "rsn50-wide": 6.4,
    "rsn101-wide": 11.5,
    "2xrsn50-wide": 13.9,
    "3xrsn50-wide": 20.7,
    "4xrsn50-wide": 29.3,
}

# Measuring the other networks takes long, and they differ from these in numbers only.
QUICK = ("rsn18", "rsn50", "rsn50-wide", "2xrsn50", "mspn50", "res18")


def _slow_unless_quick(names: Iterable[str]) -> list[Any]:
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.mark.parametrize(
    ("oracle", "name", "keypoints", "inputs"),
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
def test_heatmaps_equal_the_reference(oracles: Path, oracle: str, name: str, keypoints: int, inputs: str) -> None:
    model = create_model(name, num_keypoints=keypoints)
    load_weights(model, reference_state(oracles / f"keys_{oracle}.json"))
    x = torch.from_numpy(np.load(oracles / "inputs.npz")[inputs])
    if oracle.startswith("orig"):
        x = x.flip(1)  # the oracle fed it to a network that takes BGR; ours takes RGB
    expected = torch.from_numpy(np.load(oracles / f"model_{oracle}.npz")["final"])
    with torch.inference_mode():
        torch.testing.assert_close(model.eval()(x), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", SIZES)
def test_recorded_complexity_equals_the_reference(name: str) -> None:
    parameters, small, large, _ = SIZES[name]
    recorded = MEASURED_COMPLEXITY[name]
    assert recorded.parameters == parameters
    billions = [size.multiply_adds / 1e9 for size in (recorded, recorded.at((384, 288)))]
    assert billions == pytest.approx([small, large], rel=1e-3)


@pytest.mark.parametrize("name", PUBLISHED_GFLOPS)
def test_wide_networks_have_the_published_complexity(name: str) -> None:
    assert MEASURED_COMPLEXITY[name].multiply_adds / 1e9 == pytest.approx(PUBLISHED_GFLOPS[name], rel=0.03)


@pytest.mark.parametrize("name", _slow_unless_quick(list_models()))
def test_recorded_complexity_equals_the_measured_one(name: str) -> None:
    assert MEASURED_COMPLEXITY[name] == complexity(name)


@pytest.mark.parametrize("name", _slow_unless_quick(SIZES))
def test_multiply_adds_with_16_keypoints_equal_the_reference(name: str) -> None:
    measured = complexity(name, (256, 256), num_keypoints=16)
    assert measured.multiply_adds / 1e9 == pytest.approx(SIZES[name][3], rel=1e-3)


def test_multiply_adds_grow_with_the_area() -> None:
    assert complexity("rsn18", (384, 288)) == complexity("rsn18").at((384, 288))


@pytest.mark.parametrize("name", _slow_unless_quick(list_models()))
def test_networks_have_the_recorded_number_of_parameters_and_no_convolution_bias(name: str) -> None:
    with torch.device("meta"):
        model = create_model(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == MEASURED_COMPLEXITY[name].parameters
    assert all(module.bias is None for module in model.modules() if isinstance(module, nn.Conv2d))


def test_forward_computes_only_the_last_head() -> None:
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


def test_network_rejects_sizes_that_are_no_multiples_of_32() -> None:
    with pytest.raises(ValueError, match="250x190"):
        create_model("rsn18")(torch.zeros(1, 3, 250, 190))


def test_create_model_suggests_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="rsn18"):
        create_model("rsn-18")  # a hyphen too many


@pytest.mark.parametrize(("answer", "shared_spatial_attention"), [("orig", False), ("mmpose", True)])
def test_prm_equals_the_reference(oracles: Path, answer: str, shared_spatial_attention: bool) -> None:
    machine = PoseRefineMachine(17, shared_spatial_attention=shared_spatial_attention).eval()
    load_weights(machine, reference_state(oracles / f"keys_{answer.removesuffix('pose')}_prm17.json"))
    oracle = np.load(oracles / "prm.npz")
    with torch.inference_mode():
        refined = machine(torch.from_numpy(oracle["x"]))
    torch.testing.assert_close(refined, torch.from_numpy(oracle[answer]), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(("refine", "machines"), [("none", 0), ("last", 1), ("all", 8)])
def test_refine_adds_prms_after_the_requested_heads(refine: Refine, machines: int) -> None:
    model = create_model("2xrsn50", refine=refine)
    assert sum(isinstance(module, PoseRefineMachine) for module in model.modules()) == machines
    heatmaps = model.heatmaps(torch.randn(2, 3, 64, 64))
    assert (heatmaps[-1][-1] >= 0).all() == (refine != "none")
    heatmaps[-1][-1].sum().backward()


def test_network_with_prms_has_the_parameters_of_the_reference() -> None:
    with torch.device("meta"):
        model = create_model("4xrsn50", refine="all")
    assert sum(parameter.numel() for parameter in model.parameters()) == 79_209_632 - 2 * 16 * 17


def test_network_with_prms_has_the_multiply_adds_of_the_reference() -> None:
    assert complexity("4xrsn18", refine="all").multiply_adds / 1e9 == pytest.approx(9.431, rel=1e-3)
