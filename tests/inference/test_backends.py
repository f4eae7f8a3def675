"""Backends give the results of the network, report what they do not support, and convert a graph once."""

import json
import os
import subprocess
import sys
import warnings
from copy import deepcopy
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from full_disk import nothing_can_be_written
from rsn import PoseEstimator, PoseModel, create_model
from rsn.errors import DeviceError, MissingDependencyError, RsnWarning, UnknownNameError
from rsn.inference.backends import BACKENDS, build_backend, choose, open_weights
from rsn.models import registry
from rsn.models.network import PoseNetwork
from rsn.weights.loading import load_network, save_weights
from rsn.weights.metadata import ModelMetadata
from small_network import small_network

CPU = "cpu"


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
        found = torch.as_tensor(backend(crops.numpy()))
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
        crops = np.random.default_rng(count).integers(0, 256, (count, 3, 64, 64)).astype(np.uint8)
        expected = plain(crops).numpy()
        assert abs(backend(crops) - expected).max() <= 1e-4 * abs(expected).max()


@pytest.mark.slow
def test_compiled_network_takes_batches_of_any_size() -> None:
    torch.manual_seed(0)
    network = small_network(2)
    metadata = ModelMetadata("mspn50", input_size=(32, 32))
    compiled, plain = (build_backend(name, network, metadata, CPU) for name in ("torch-compile", "torch"))
    for count in (3, 5, 2):
        crops = np.random.default_rng(count).integers(0, 256, (count, 3, 32, 32)).astype(np.uint8)
        expected = plain(crops)
        assert (compiled(crops) - expected).abs().max() <= 1e-4 * abs(expected).max()


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
    crops = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64)).astype(np.uint8)
    for name in ("openvino", "onnxruntime"):
        backend = build_backend(name, *trained, CPU)
        first = backend(crops)
        kept = first.copy()
        backend(255 - crops)
        np.testing.assert_array_equal(first, kept)


def graphs(cache: Path) -> dict[str, int]:
    """When each graph in the cache was written."""
    return {path.name: path.stat().st_ino for path in (cache / "graphs").glob("*")}


def test_graph_is_converted_once_per_weights(trained: tuple[PoseNetwork, ModelMetadata], cache: Path) -> None:
    build_backend("openvino", *trained, CPU)
    before = graphs(cache)
    build_backend("openvino", *trained, CPU)
    assert graphs(cache) == before
    build_backend("openvino", create_model("res18"), trained[1], CPU)
    assert len(graphs(cache)) == len(before) + 1
    assert not list((cache / "graphs").glob("*.part"))


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_weights_run_with_and_without_the_cache_alike(
    name: str, random_weights: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (3, 3, 64, 64)).astype(np.uint8)
    before = graphs(cache)
    first = open_weights(name, random_weights, CPU)[0](crops)
    (key,) = graphs(cache).keys() - before.keys()
    np.testing.assert_array_equal(open_weights(name, random_weights, CPU)[0](crops), first)
    file = cache / "graphs" / key
    file.write_bytes(file.read_bytes()[:5000])  # as after a crash of the machine
    np.testing.assert_array_equal(open_weights(name, random_weights, CPU)[0](crops), first)
    assert file.stat().st_size > 5000
    monkeypatch.setenv("RSN_GRAPH_CACHE", "0")
    np.testing.assert_array_equal(open_weights(name, random_weights, CPU)[0](crops), first)


def test_changed_weights_of_the_same_name_are_converted_anew(
    trained: tuple[PoseNetwork, ModelMetadata], tmp_path: Path
) -> None:
    network, metadata = deepcopy(trained[0]), trained[1]
    crops = np.full((1, 3, 64, 64), 90, np.uint8)
    results = []
    for factor in (1, 2):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(factor)
        save_weights(tmp_path / "w.safetensors", network, metadata)
        results.append(open_weights("openvino", tmp_path / "w.safetensors", CPU)[0](crops))
    assert not np.array_equal(*results)


def test_added_model_that_changes_is_converted_anew(
    trained: tuple[PoseNetwork, ModelMetadata], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "ADDED", {})
    torch.manual_seed(0)
    layer, crops, results = torch.nn.Conv2d(3, 17, 4, stride=4), np.full((1, 3, 32, 32), 90, np.uint8), []
    save_weights(tmp_path / "w.safetensors", layer, ModelMetadata("own", input_size=(32, 32)))
    for padding in ("zeros", "reflect"):
        registry.register_model(
            "own", lambda count, mode=padding: torch.nn.Conv2d(3, count, 4, stride=4, padding=0, padding_mode=mode)
        )
        results.append(open_weights("openvino", tmp_path / "w.safetensors", CPU)[0](crops))
    np.testing.assert_allclose(*results, rtol=1e-5)


def test_predicting_imports_pytorch_only_if_the_backend_needs_it(
    random_weights: Path, cache: Path, image: Path
) -> None:
    program = f"""
import sys
from rsn.cli import main
sys.argv = ["rsn", "predict", {str(image)!r}, "--boxes", "whole", "--model", {str(random_weights)!r}, "--device", "cpu",
            "--output", {str(cache / "out")!r}, "--backend", sys.argv[1], *sys.argv[2:]]
try:
    main()
except SystemExit as end:
    print(end.code, "torch" in sys.modules)
"""

    def run(*arguments: str) -> tuple[str, object]:
        command = [sys.executable, "-c", program, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"RSN_CACHE": str(cache)})
        entries = json.loads((cache / "out/poses.json").read_text())
        assert done.stdout, done.stderr
        return done.stdout, entries

    for name in ("openvino", "onnxruntime"):
        for options in ((), ("--flip",)):
            _, first = run(name, *options)
            assert run(name, *options) == ("0 False\n", first)
    assert run("torch")[0] == "0 True\n"


def test_two_processes_convert_one_network_at_once(random_weights: Path, tmp_path: Path) -> None:
    program = f"""
import hashlib, numpy as np
from rsn.inference.backends import open_weights
crops = np.full((2, 3, 64, 64), 90, np.uint8)
print(hashlib.sha256(open_weights("openvino", {str(random_weights)!r}, "cpu")[0](crops)).hexdigest())
"""
    environment = os.environ | {"RSN_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", program]
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert len(answers) == 1
    assert len(list((tmp_path / "graphs").iterdir())) == 1


def test_openvino_backend_can_be_deleted_by_another_thread(random_weights: Path, cache: Path) -> None:
    """The signal stack that OpenVINO sets for the main thread stays, so the next signal does no harm."""
    program = f"""
import os, signal, threading
import faulthandler
faulthandler.enable()  # as pytest does; Python's handlers run on the stack for signals
from rsn.inference.backends import build_backend, choose
from rsn.weights.loading import load_network, save_weights
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
from rsn.weights.loading import load_network, save_weights
build_backend("openvino", *load_network({str(random_weights)!r}), choose("openvino", "cpu")[1])
assert "openvino_telemetry" not in sys.modules  # for other programs in this process
"""
    home = {"HOME": str(tmp_path), "RSN_CACHE": str(tmp_path / "cache")}
    others = {name: value for name, value in os.environ.items() if name != "CI"}  # without a message
    subprocess.run([sys.executable, "-c", program], check=True, env=others | home)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_cache_that_cannot_be_written_to_is_reported_and_does_no_harm(
    trained: tuple[PoseNetwork, ModelMetadata], image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = np.full((1, 3, 64, 64), 90, np.uint8)
    first = build_backend("openvino", *trained, CPU)(crops)
    with nothing_can_be_written(), warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(build_backend("openvino", *trained, CPU)(crops), first)  # only read
    monkeypatch.setenv("RSN_CACHE", str(image))  # a file
    with pytest.warns(RsnWarning, match=r"cannot make the folder .*; until then each start takes longer.*RSN_CACHE"):
        np.testing.assert_array_equal(build_backend("openvino", *trained, CPU)(crops), first)


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
