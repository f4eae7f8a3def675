"""Published weights: found by name, downloaded once, always checked."""

import hashlib
import io
from pathlib import Path

import pytest
import torch

from file_server import serving
from rsn import create_model
from rsn.cli.models import Pull
from rsn.errors import DownloadError, RsnError, WeightsError
from rsn.io.cache import CACHE, cache_folder
from rsn.models.catalog import ARCHITECTURES
from rsn.weights import loading, pretrained
from rsn.weights.model_table import all_networks, describe
from rsn.weights.pretrained import PRETRAINED, PretrainedWeights, fetch


@pytest.fixture
def checkpoint() -> bytes:
    """A checkpoint with tensor names of MMPose."""
    torch.manual_seed(0)
    state = {
        key.replace("stem.reduce.norm", "backbone.top.top.0.bn").replace("stem.reduce", "backbone.top.top.0"): value
        for key, value in create_model("rsn18").state_dict().items()
    }
    file = io.BytesIO()
    torch.save({"state_dict": state, "meta": {}}, file)
    return file.getvalue()


@pytest.fixture
def entry(checkpoint: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PretrainedWeights:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    sha256 = hashlib.sha256(checkpoint).hexdigest()
    return PretrainedWeights("rsn18", f"good/rsn18-{sha256[:8]}.pth", sha256[:8], {"AP": 0.5, "AR": 0.6})


def test_weights_by_name_are_downloaded_and_converted(
    entry: PretrainedWeights, checkpoint: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRETRAINED, "rsn18.test", entry)
    with serving(checkpoint) as server:
        monkeypatch.setenv(pretrained.MIRROR, server.address)
        model, metadata = loading.load_network("rsn18.test")
    assert (metadata.model, metadata.codec.name, metadata.bbox_padding) == ("rsn18", "mmpose", (1.25, 1.25))
    assert metadata.metrics == entry.metrics
    assert not model.training
    loading.load_model("rsn18.test")  # without a server


def test_pull_prints_the_path_of_the_file(
    entry: PretrainedWeights,
    checkpoint: bytes,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(PRETRAINED, "rsn18.test", entry)
    assert "rsn18.test [remote]" in all_networks()
    assert "not downloaded yet" in describe("rsn18.test")
    with serving(checkpoint) as server:
        monkeypatch.setenv(pretrained.MIRROR, server.address)
        assert Pull(("rsn18.test",)).run() == 0
    assert f"rsn18.test is {entry.cached}" in capsys.readouterr().err
    assert "rsn18.test [here]" in all_networks()
    assert "codec mmpose" in describe("rsn18.test")


def test_file_copied_into_the_cache_is_used(entry: PretrainedWeights, checkpoint: bytes) -> None:
    entry.cached.parent.mkdir(parents=True)
    entry.cached.write_bytes(checkpoint)
    assert fetch(entry) == entry.cached


def test_changed_file_is_rejected(entry: PretrainedWeights, checkpoint: bytes) -> None:
    entry.cached.parent.mkdir(parents=True)
    entry.cached.write_bytes(checkpoint)
    fetch(entry)
    entry.cached.write_bytes(checkpoint + b"x")
    with pytest.raises(WeightsError, match=r"is not the published file: .*delete it"):
        fetch(entry)


@pytest.mark.parametrize("cache", ["file", "file/cache", "/proc/none", "n" * 300])
def test_unusable_cache_is_reported_in_one_sentence(
    entry: PretrainedWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE, str(tmp_path / cache))
    monkeypatch.setitem(PRETRAINED, "rsn18.test", entry)
    assert "rsn18.test [remote]" in all_networks()
    with pytest.raises(DownloadError, match=r"cannot make the folder .*\(RSN_CACHE sets another cache folder\)$"):
        fetch(entry)


def test_unknown_home_folder_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, "~nobody-of-that-name/rsn")
    with pytest.raises(RsnError, match=r"Invalid RSN_CACHE: expected a folder, got ~nobody.*; write the path in full"):
        cache_folder()


def test_folder_in_place_of_the_file_is_reported(
    entry: PretrainedWeights, checkpoint: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry.cached.mkdir(parents=True)
    with serving(checkpoint) as server:
        monkeypatch.setenv(pretrained.MIRROR, server.address)
        with pytest.raises(DownloadError, match=r"^cannot write .*: Is a directory"):
            fetch(entry)


def test_failed_download_names_the_folder_for_the_file(
    entry: PretrainedWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(pretrained.MIRROR, "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match=f"cannot fetch.*copy the file into {entry.cached.parent}"):
        fetch(entry)


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(CACHE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "rsn"
    monkeypatch.setenv(CACHE, str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.setenv(CACHE, "~/weights")
    assert cache_folder() == Path.home() / "weights"


def test_empty_variables_count_as_not_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(CACHE, "")
    monkeypatch.setenv(pretrained.MIRROR, "")
    assert cache_folder() == tmp_path / "rsn"
    assert PRETRAINED["rsn18.openmmlab"].url.startswith("https://download.openmmlab.com/")


@pytest.mark.parametrize("name", PRETRAINED)
def test_entries_have_the_names_of_network_and_file(name: str) -> None:
    listed = PRETRAINED[name]
    assert name == f"{listed.model}.openmmlab"
    assert listed.model in ARCHITECTURES
    assert listed.sha256_prefix in listed.path
    assert len(bytes.fromhex(listed.sha256_prefix)) == 4
    assert 0.7 < listed.metrics["AP"] < listed.metrics["AR"] < 0.9
