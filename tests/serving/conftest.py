"""A service with two small random models."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pose_service import Client, estimator_of, serving
from rsn.training.module import set_head_gain
from rsn.weights.loading import load_network, save_weights


@pytest.fixture(scope="session")
def random_weights(random_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with heatmaps that are high enough to be visible on the page."""
    network, metadata = load_network(random_weights)
    set_head_gain(network, 100)
    path = tmp_path_factory.mktemp("serving") / "random.safetensors"
    save_weights(path, network, metadata)
    return path


@pytest.fixture(scope="session")
def service(random_weights: Path) -> Iterator[Client]:
    """A service with default limits, shared by all tests."""
    models = {
        "random": estimator_of(random_weights),
        "flipped": estimator_of(random_weights, flip_test=True),
    }
    with serving(models) as client:
        yield client


@pytest.fixture(autouse=True)
def still_serving(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every test the service still responds."""
    yield
    if "service" in request.fixturenames:
        client: Client = request.getfixturevalue("service")
        assert client.get("/health").json == {"status": "ok"}
