"""Fixtures for all tests."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from people_on_disk import write_people
from rsn.weights.loading import save_weights
from rsn.weights.metadata import ModelMetadata
from rsn.weights.transfer import create_model

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what rsn stores between runs out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.getbasetemp()
        if "PYTEST_XDIST_WORKER" in os.environ:  # one cache for all workers
            folder = folder.parent
        patch.setenv("RSN_CACHE", str(folder / "cache"))
        yield


@pytest.fixture(scope="session", autouse=True)
def _children_are_stopped_by_ctrl_c() -> None:
    """A shell starts a background job with SIGINT ignored, and processes started by the tests would inherit that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _one_thread_per_worker() -> None:
    """Let parallel test workers, and the processes that they start, use one thread each."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ["OMP_NUM_THREADS"] = "1"
        torch.set_num_threads(1)
        cv2.setNumThreads(1)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of images, annotations and reference results beside a developer's checkout."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared, the reference material that is not part of the repository")
    return SHARED


@pytest.fixture(scope="session")
def oracles(shared_dir: Path) -> Path:
    """Results of the public reference implementations, as .npz and .json files."""
    return shared_dir / "oracles"


@pytest.fixture(scope="session")
def people_json(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Annotations of drawn figures; their images are in images/ beside the file."""
    return write_people(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="session")
def recipe_file(people_json: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training run on drawn figures: two validations after two steps each, into run/ beside the file."""
    source = {"annotations": str(people_json), "images": str(people_json.parent / "images")}
    folder = tmp_path_factory.mktemp("recipe")
    document = {
        "output": str(folder / "run"),
        "model": "res18",
        "train": [source],
        "validation": source,
        "input_size": [64, 64],
        "head_bn_gamma": 10,
        "optimization": {"steps": 4, "batch_size": 4, "warmup_steps": 2, "learning_rate": 1e-3},
        "val_interval": 2,
        "compute": {"workers": 0},
    }
    (folder / "tiny.yaml").write_text(yaml.safe_dump(document))
    return folder / "tiny.yaml"


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image of noise, 70 x 90 pixels."""
    path = tmp_path_factory.mktemp("image") / "good.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (90, 70, 3)).astype(np.uint8))
    return path


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of an untrained network for small crops: for what must work whatever a network answers.

    It is ResNet-18, the network of the catalog that takes the least time to build and to convert.
    """
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_weights(path, create_model("res18"), ModelMetadata("res18", input_size=(64, 64)), half=True)
    return path
