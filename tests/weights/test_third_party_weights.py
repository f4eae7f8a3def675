"""Third-party weights: detected by their tensors, used as in the projects that they come from."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from reference_weights import reference_state
from rsn import COCO_17, LSP_14, MPII_16, PoseEstimator, create_model, load_weights
from rsn.errors import RsnWarning, WeightsError
from rsn.models.prm import PoseRefineMachine, Refine
from rsn.weights.checkpoints import read_tensors
from rsn.weights.conversion import convert_state_dict
from rsn.weights.files import read_metadata
from rsn.weights.loading import convert_weights, load_model, load_network
from rsn.weights.metadata import ModelMetadata
from rsn.weights.recognition import detect_architecture, infer_metadata


def as_mmpose(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors with a few names of MMPose, enough to detect the format."""
    return {
        key.replace("stem.reduce.norm", "backbone.top.top.0.bn").replace("stem.reduce", "backbone.top.top.0"): value
        for key, value in state.items()
    }


def as_authors(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        key.replace("stem.reduce.norm", "top.conv.bn").replace("stem.reduce", "top.conv"): value
        for key, value in state.items()
    }


@pytest.mark.parametrize(
    ("oracle", "model", "skeleton", "codec"),
    [
        ("orig_rsn18_coco", "rsn18", COCO_17, "megvii"),
        ("orig_rsn18_mpii", "rsn18", MPII_16, "megvii"),
        ("orig_2xmspn50_coco", "2xmspn50", COCO_17, "megvii"),
        ("mm_rsn18", "rsn18", COCO_17, "mmpose"),
        ("mm_rsn50", "rsn50", COCO_17, "mmpose"),
        ("mm_2xrsn50", "2xrsn50", COCO_17, "mmpose"),
        ("mm_mspn50", "mspn50", COCO_17, "mmpose"),
    ],
)
def test_metadata_is_inferred_from_third_party_tensors(
    oracles: Path, oracle: str, model: str, skeleton, codec: str
) -> None:
    metadata = infer_metadata(reference_state(oracles / f"keys_{oracle}.json"))
    assert (metadata.model, metadata.skeleton, metadata.codec.name, metadata.options) == (
        model,
        skeleton,
        codec,
        {},
    )
    extensions = {"orig_rsn18_mpii": (1.25, 1.25), "orig_rsn18_coco": (1.09, 1.135), "mm_rsn18": (1.25, 1.25)}
    assert metadata.bbox_padding == extensions.get(oracle, metadata.bbox_padding)
    assert metadata.codec.blur_kernel_size == (9 if skeleton is MPII_16 else 5)
    assert metadata.input_size == ((256, 256) if skeleton is MPII_16 else (256, 192))


def test_tensor_names_of_mmpose_0_and_ddp_are_converted(oracles: Path) -> None:
    newer = reference_state(oracles / "keys_mm_rsn18.json")
    older = {f"module.{re.sub('^head', 'keypoint_head', key)}": value for key, value in newer.items()}
    older["data_preprocessor.mean"] = torch.zeros(3, 1, 1)
    expected, found = convert_state_dict(newer), convert_state_dict(older)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], value) for key, value in expected.items())
    assert infer_metadata(older).codec.name == "mmpose"


def test_prm_tensors_of_mmpose_are_converted(oracles: Path) -> None:
    plain = reference_state(oracles / "keys_mm_rsn18.json")
    machines = reference_state(oracles / "keys_mm_prm17.json")
    refined = plain | {
        f"head.predict_layers.{head}.prm.{key}": value for head in range(4) for key, value in machines.items()
    }
    metadata = infer_metadata(refined)
    assert (metadata.model, metadata.options) == ("rsn18", {"refine": "all"})
    network, without = create_model("rsn18", refine="all").eval(), create_model("rsn18").eval()
    machine = PoseRefineMachine(17, shared_spatial_attention=True).eval()
    for module, state in ((network, refined), (without, plain), (machine, machines)):
        load_weights(module, state)
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network(x), machine(without(x)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("refine", ["none", "last", "all"])
def test_detect_architecture_finds_prms(refine: Refine) -> None:
    assert detect_architecture(create_model("2xrsn50", refine=refine).state_dict()) == ("2xrsn50", 17, refine)


@pytest.mark.parametrize("refine", ["last", "all"])
@pytest.mark.parametrize("shared_spatial_attention", [True, False])
def test_prms_load_with_shared_and_separate_spatial_attention(
    refine: Refine, shared_spatial_attention: bool, tmp_path: Path
) -> None:
    theirs, ours = create_model("rsn18", refine=refine).eval(), create_model("rsn18", refine=refine).eval()
    for machine in (module for module in theirs.modules() if isinstance(module, PoseRefineMachine)):
        machine.set_shared_spatial_attention(shared_spatial_attention)
    load_weights(ours, theirs.state_dict())
    x = torch.randn(1, 3, 64, 64)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    with pytest.warns(RsnWarning, match="no model metadata"):
        read, metadata = load_network(tmp_path / "w.pth")
    assert metadata.options == {"refine": refine}
    with torch.inference_mode():
        assert torch.equal(ours(x), theirs(x))
        assert torch.equal(read(x), theirs(x))


def test_prms_are_unchanged_after_weights_that_do_not_fit() -> None:
    model, other = create_model("rsn18", refine="all"), create_model("rsn18", refine="last")
    with pytest.raises(WeightsError, match=r"heads\.0\.refine"):
        load_weights(model, other.state_dict())
    assert all(
        machine.shared_spatial_attention for machine in model.modules() if isinstance(machine, PoseRefineMachine)
    )


def test_only_weights_of_the_authors_get_their_channels_reversed() -> None:
    state = create_model("rsn18").state_dict()
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)  # in which sums hardly depend on their order
    rgb, bgr = create_model("rsn18").eval(), create_model("rsn18").eval()
    load_weights(rgb, as_mmpose(state))
    load_weights(bgr, as_authors(state))
    with torch.inference_mode():
        torch.testing.assert_close(bgr.double()(x.flip(1)), rgb.double()(x), atol=1e-9, rtol=1e-9)


def test_checkpoint_without_metadata_is_used_as_its_project_uses_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save({"state_dict": as_mmpose(create_model("rsn18").state_dict())}, tmp_path / "w.pth")
    with pytest.warns(
        RsnWarning, match=r"w\.pth: has no model metadata; assumed are weights of MMPose: rsn18.*256x192"
    ):
        estimator = PoseEstimator(tmp_path / "w.pth", backend="torch")
    assert estimator.metadata.codec.name == "mmpose"
    image = np.random.default_rng(0).integers(0, 255, (120, 90, 3)).astype(np.uint8)
    mmpose = estimator(image, [[5, 5, 80, 110]], box_format="xywh")[0]
    convert_weights(tmp_path / "w.pth", tmp_path / "w.safetensors")
    same = PoseEstimator(tmp_path / "w.safetensors", backend="torch")(image, [[5, 5, 80, 110]], box_format="xywh")[0]
    np.testing.assert_allclose(mmpose.keypoints, same.keypoints, atol=1e-6)


def test_convert_weights_writes_metadata(tmp_path: Path) -> None:
    model = create_model("rsn18", num_keypoints=14)
    torch.save({"model": as_authors(model.state_dict())}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"w\.pth: these weights have heatmaps of 14 keypoints, which is neither"):
        convert_weights(tmp_path / "w.pth", tmp_path / "w.safetensors")
    convert_weights(tmp_path / "w.pth", tmp_path / "w.safetensors", skeleton=LSP_14, input_size=(128, 96))
    metadata = read_metadata(tmp_path / "w.safetensors")
    assert (metadata.model, metadata.skeleton, metadata.input_size) == ("rsn18", LSP_14, (128, 96))
    stem = read_tensors(tmp_path / "w.safetensors")["stem.reduce.conv.weight"]
    assert torch.equal(stem, model.stem.reduce.conv.weight.flip(1))


def test_convert_weights_rejects_sizes_that_are_no_multiples_of_32(tmp_path: Path) -> None:
    torch.save(create_model("rsn18").state_dict(), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"multiples of 32.*\(250, 190\)"):
        convert_weights(tmp_path / "w.pth", tmp_path / "w.safetensors", input_size=(250, 190))
    with pytest.raises(WeightsError, match=r"\(250, 190\)"):
        ModelMetadata("rsn18", input_size=(250, 190))


def test_infer_metadata_rejects_a_skeleton_with_another_number_of_keypoints(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="heatmaps of 17 keypoints, mpii_16 has 16"):
        infer_metadata(create_model("rsn18").state_dict(), skeleton=MPII_16)


@pytest.mark.parametrize(
    "tensors",
    [
        {"layers.0.weight": torch.zeros(3)},
        {"stem.reduce.conv.weight": torch.zeros(64, 3, 7, 7)},
        {"stem.reduce.conv.weight": torch.zeros(64, 3, 7, 7), "stages.0.down.layers.odd": torch.zeros(1)},
    ],
)
def test_infer_metadata_rejects_unknown_formats(tensors: dict[str, Tensor]) -> None:
    with pytest.raises(WeightsError, match=r"format of these weights is unknown|no network of the catalog lacks"):
        infer_metadata(tensors)


def test_infer_metadata_rejects_networks_outside_the_catalog() -> None:
    state = create_model("rsn50").state_dict()
    fewer = {key: value for key, value in state.items() if ".layers.2.5." not in key}
    with pytest.raises(WeightsError, match="no network of the catalog"):
        infer_metadata(fewer)


def resnet50() -> dict[str, Tensor]:
    """Random tensors of a ResNet-50 with the names of torchvision."""
    state = {
        "conv1.weight": torch.randn(64, 3, 7, 7),
        "fc.weight": torch.zeros(1000, 2048),
        "fc.bias": torch.zeros(1000),
    }
    state |= norm("bn1", 64)
    width = 64
    for layer, (blocks, channels) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True), start=1):
        for block in range(blocks):
            at = f"layer{layer}.{block}"
            for number, shape in enumerate(
                [(channels, width, 1), (channels, channels, 3), (4 * channels, channels, 1)], 1
            ):
                state[f"{at}.conv{number}.weight"] = torch.randn(*shape, shape[-1])
                state |= norm(f"{at}.bn{number}", shape[0])
            if block == 0:
                state[f"{at}.downsample.0.weight"] = torch.randn(4 * channels, width, 1, 1)
                state |= norm(f"{at}.downsample.1", 4 * channels)
            width = 4 * channels
    return state


def norm(name: str, channels: int) -> dict[str, Tensor]:
    leaves = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{leaf}": torch.randn(channels) for leaf in leaves} | {
        f"{name}.num_batches_tracked": torch.tensor(7)
    }


def test_resnet_weights_fill_the_stem_and_all_downsampling_paths() -> None:
    model, state = create_model("2xmspn50"), resnet50()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    load_weights(model, state)
    after = model.state_dict()
    assert torch.equal(after["stem.reduce.conv.weight"], state["conv1.weight"])
    for stage in (0, 1):
        down = f"stages.{stage}.down.layers"
        assert torch.equal(after[f"{down}.3.2.expand.conv.weight"], state["layer4.2.conv3.weight"])
        assert torch.equal(after[f"{down}.0.0.shortcut.norm.running_var"], state["layer1.0.downsample.1.running_var"])
    changed = {key for key, value in before.items() if not torch.equal(value, after[key])}
    assert all(key.startswith("stem.") or ".down." in key for key in changed)
    down = [key for key in before if (key.startswith("stem.") or ".down." in key) and "tracked" not in key]
    assert changed == set(down)


def test_resnet_weights_fill_a_network_of_any_skeleton(tmp_path: Path) -> None:
    path, tensors = tmp_path / "resnet50.pth", resnet50()
    torch.save(tensors, path)
    model = create_model("mspn50", skeleton=LSP_14, pretrained=path)
    assert torch.equal(model.state_dict()["stem.reduce.conv.weight"], tensors["conv1.weight"])


def test_resnet_weights_do_not_fit_rsn() -> None:
    with pytest.raises(WeightsError, match="do not fit this network"):
        load_weights(create_model("rsn50"), resnet50())


def test_load_model_rejects_a_resnet(tmp_path: Path) -> None:
    torch.save(resnet50(), tmp_path / "resnet50.pth")
    with pytest.raises(WeightsError, match="alone finds no keypoints"):
        load_model(tmp_path / "resnet50.pth")


def test_checkpoint_with_small_arrays_is_read(tmp_path: Path) -> None:
    """MMPose describes its dataset with small arrays."""
    meta = {
        "sigmas": np.linspace(0, 1, 17, dtype=np.float32),
        "colors": np.zeros((17, 3), np.uint8),
        "epoch": 210,
    }
    model, other = create_model("rsn18"), create_model("rsn18")
    torch.save({"state_dict": model.state_dict(), "meta": {"dataset_meta": meta}}, tmp_path / "w.pth")
    load_weights(other, tmp_path / "w.pth")
    assert torch.equal(other.stem.reduce.conv.weight, model.stem.reduce.conv.weight)


def test_checkpoint_of_a_training_run_is_detected(tmp_path: Path) -> None:
    model, other = create_model("rsn18"), create_model("rsn18")
    torch.save(
        {"state_dict": {f"network.{key}": value for key, value in model.state_dict().items()}},
        tmp_path / "last.ckpt",
    )
    load_weights(other, tmp_path / "last.ckpt")
    assert torch.equal(other.stem.reduce.conv.weight, model.stem.reduce.conv.weight)
