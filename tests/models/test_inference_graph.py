"""The inference graph gives the results of the trained network."""

import pytest
import torch

from rsn import create_model, list_models
from rsn.models.inference_graph import InferenceGraph
from rsn.models.network import PoseNetwork
from rsn.models.prm import Refine
from rsn.weights.metadata import ModelMetadata

QUICK = ("rsn18", "mspn50", "res18")


def trained(name: str, refine: Refine) -> PoseNetwork:
    """A network whose batch norms do not have their initial statistics."""
    torch.manual_seed(0)
    network = create_model(name, refine=refine)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.2)
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(2, 3, 64, 64))
    return network.eval()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in list_models()]
)
def test_inference_graph_equals_the_trained_network(name: str) -> None:
    assert_equal(trained(name, "none"))


@pytest.mark.parametrize("refine", ["last", "all"])
@pytest.mark.parametrize("name", ["rsn18", pytest.param("4xrsn18", marks=pytest.mark.slow)])
def test_inference_graph_equals_a_network_with_prm(name: str, refine: Refine) -> None:
    assert_equal(trained(name, refine))


def assert_equal(network: PoseNetwork) -> None:
    metadata = ModelMetadata("rsn18", input_size=(64, 96))
    crops = torch.randint(0, 256, (3, 3, 64, 96), dtype=torch.uint8)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.inference_mode():
        expected = network(metadata.normalize(crops))
        found = InferenceGraph(network, metadata)(crops)
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_inference_graph_has_no_unused_layers() -> None:
    network = create_model("2xrsn50")
    graph = InferenceGraph(network, ModelMetadata("2xrsn50", input_size=(64, 64)))
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in graph.modules())
    used: set[torch.nn.Module] = set()
    layers = [module for module in graph.modules() if isinstance(module, torch.nn.Conv2d)]
    for layer in layers:
        layer.register_forward_hook(lambda layer, inputs, output: used.add(layer))
    graph(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    assert used == set(layers)


def test_inference_graph_folds_batch_norms_of_any_module() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.Conv2d(4, 2, 1),
    )
    network(torch.randn(8, 3, 32, 32))  # statistics that are not the initial ones
    metadata = ModelMetadata("any", input_size=(32, 32))
    graph = InferenceGraph(network, metadata)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in graph.modules())
    crops = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(graph(crops), network.eval()(metadata.normalize(crops)), atol=1e-5, rtol=1e-4)
