"""Backends give the results of the network, report what they do not support, and convert a graph once."""

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from full_disk import nothing_can_be_written
from rsn import PoseEstimator, PoseModel, create_model
from rsn.errors import DeviceError, MissingDependencyError, RsnError, UnknownNameError
from rsn.inference.backends import BACKENDS, build_backend, choose
from rsn.models.network import PoseNetwork
from rsn.weights.loading import load_network
from rsn.weights.metadata import ModelMetadata
from small_network import small_network

CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RSN_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def trained(random_weights: Path) -> tuple[PoseNetwork, ModelMetadata]:
    return load_network(random_weights)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if "compile" in name else ()) for name in BACKENDS]
)
def test_backends_agree_with_the_network_on_batches_of_any_size(
    name: str, trained: tuple[PoseNetwork, ModelMetadata]
) -> None:
    if name == "openvino-bf16" and not has_bf16():
        pytest.skip("this processor does not compute in bfloat16")
    network, metadata = trained
    backend = build_backend(name, network, metadata, CPU)
    for count in (1, 5, 2):
        crops = torch.randint(0, 256, (count, 64, 64, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
        with torch.inference_mode():
            expected = network(metadata.normalize(crops))
        found = backend(crops)
        assert found.dtype == torch.float32
        tolerance = {"bf16": 0.05, "fp16": 0.005}.get(name[-4:], 1e-4)
        assert (found - expected).abs().max() <= tolerance * expected.abs().max()


def test_openvino_divides_a_batch_among_threads(
    trained: tuple[PoseNetwork, ModelMetadata], request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(partial(torch.set_num_threads, torch.get_num_threads()))
    torch.set_num_threads(3)
    backend, plain = (build_backend(name, *trained, CPU) for name in ("openvino", "torch"))
    for count in (2, 3, 7):  # fewer than threads, one for each, pieces of different size
        crops = torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8)
        expected = plain(crops)
        assert (backend(crops) - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.slow
def test_compiled_network_takes_batches_of_any_size() -> None:
    torch.manual_seed(0)
    network = small_network(2)
    metadata = ModelMetadata("mspn50", input_size=(32, 32))
    compiled, plain = (build_backend(name, network, metadata, CPU) for name in ("torch-compile", "torch"))
    for count in (3, 5, 2):
        crops = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8)
        expected = plain(crops)
        assert (compiled(crops) - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_missing_compiler_is_reported(
    trained: tuple[PoseNetwork, ModelMetadata], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda graph, mode: no_compiler)
    with pytest.raises(DeviceError, match=r"torch.compile does not work on this machine \(no working C\+\+ compiler\)"):
        build_backend("torch-compile", *trained, CPU)


def no_compiler(crops: torch.Tensor) -> torch.Tensor:
    raise RuntimeError("no working C++ compiler\nand much more")


def test_results_are_unchanged_by_the_next_run(trained: tuple[PoseNetwork, ModelMetadata]) -> None:
    """A backend that returns its own memory would overwrite them."""
    crops = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    for name in ("openvino", "onnxruntime"):
        backend = build_backend(name, *trained, CPU)
        first = backend(crops)
        kept = first.clone()
        backend(255 - crops)
        assert torch.equal(first, kept)


def test_graph_is_converted_once_per_weights(trained: tuple[PoseNetwork, ModelMetadata], cache: Path) -> None:
    def graphs() -> set[Path]:
        return set((cache / "graphs").glob("*/graph.xml"))

    build_backend("openvino", *trained, CPU)
    before = {path: path.stat().st_mtime_ns for path in graphs()}
    build_backend("openvino", *trained, CPU)
    assert {path: path.stat().st_mtime_ns for path in graphs()} == before
    build_backend("openvino", create_model("res18"), trained[1], CPU)
    assert len(graphs()) == len(before) + 1
    assert not list((cache / "graphs").glob(".part*"))


def test_openvino_backend_can_be_deleted_by_another_thread(random_weights: Path, cache: Path) -> None:
    """The signal stack that OpenVINO sets for the main thread stays, so the next signal does no harm."""
    program = f"""
import os, signal, threading
import faulthandler
faulthandler.enable()  # as pytest does; Python's handlers run on the stack for signals
from rsn.inference.backends import build_backend, choose
from rsn.weights.loading import load_network
backends = [build_backend("openvino", *load_network({str(random_weights)!r}), choose("openvino", "cpu")[1])]
thread = threading.Thread(target=backends.clear)
thread.start()
thread.join()
signal.signal(signal.SIGCHLD, lambda *_: print("survived"))
os.kill(os.getpid(), signal.SIGCHLD)
"""
    answer = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | {"RSN_CACHE": str(cache)},
    )
    assert (answer.returncode, answer.stdout) == (0, "survived\n"), answer.stderr


def test_openvino_sends_no_telemetry(random_weights: Path, tmp_path: Path) -> None:
    """Before a report it stores a user id in the folder intel of the home folder."""
    program = f"""
import sys
from rsn.inference.backends import build_backend, choose
from rsn.weights.loading import load_network
build_backend("openvino", *load_network({str(random_weights)!r}), choose("openvino", "cpu")[1])
assert "openvino_telemetry" not in sys.modules  # for other programs in this process
"""
    home = {"HOME": str(tmp_path), "RSN_CACHE": str(tmp_path / "cache")}
    others = {name: value for name, value in os.environ.items() if name != "CI"}  # without a message
    subprocess.run([sys.executable, "-c", program], check=True, env=others | home)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_cached_graph_is_used_from_a_read_only_cache(
    trained: tuple[PoseNetwork, ModelMetadata], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_backend("openvino", *trained, CPU)
    monkeypatch.setenv("RSN_CACHE", str(shutil.copytree(cache, tmp_path / "cache")))
    with nothing_can_be_written():
        build_backend("openvino", *trained, CPU)
    for folder in (tmp_path / "cache/graphs").iterdir():
        shutil.rmtree(folder)
        folder.touch()  # keeps even root from writing a folder of that name
    with pytest.raises(RsnError, match=r"^cannot write .*; set RSN_CACHE to a writable folder.* or choose backend"):
        build_backend("openvino", *trained, CPU)


def test_cache_that_is_a_file_is_reported(
    trained: tuple[PoseNetwork, ModelMetadata], image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSN_CACHE", str(image))
    with pytest.raises(RsnError, match=r"^cannot write .*: Not a directory; set RSN_CACHE to a writable folder"):
        build_backend("openvino", *trained, CPU)


def test_auto_chooses_the_fastest_installed_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose("auto", "cpu") == ("openvino", CPU)
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert choose("auto", "cpu") == ("torch", CPU)


def test_model_in_memory_runs_in_torch(trained: tuple[PoseNetwork, ModelMetadata]) -> None:
    network, metadata = trained
    assert PoseEstimator(PoseModel(network, metadata)).backend == "torch"


def test_missing_backend_is_reported(random_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, extra in (("openvino", "openvino"), ("onnxruntime", "onnx")):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(
            MissingDependencyError, match=rf"backend {name} needs {name}: pip install 'rsn-pose\[{extra}\]'"
        ):
            PoseEstimator(random_weights, backend=name, device="cpu")


def test_unknown_and_unsupported_backends_are_rejected() -> None:
    with pytest.raises(UnknownNameError, match="did you mean openvino"):
        choose("openvin", "auto")
    with pytest.raises(DeviceError, match="openvino runs on the CPU"):
        choose("openvino", "meta")


def has_bf16() -> bool:
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
