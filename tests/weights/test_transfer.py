"""Weights for one skeleton in a network for another."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rsn import COCO_17, LSP_14, Skeleton, load_model
from rsn.errors import WeightsError
from rsn.weights.loading import save_weights
from rsn.weights.metadata import ModelMetadata
from rsn.weights.transfer import (
    Transfer,
    create_model,
    keypoint_dimensions,
    match_keypoints,
    transfer_weights,
)

STARTER = "rsn18.starter"
FINEST = "stages.0.heads.3.predict"


@pytest.fixture(scope="module")
def metadata() -> ModelMetadata:
    return load_model(STARTER).metadata


def transferred(metadata: ModelMetadata) -> tuple[dict[str, Tensor], Transfer]:
    network = create_model(metadata.model, skeleton=metadata.skeleton, **metadata.options)
    transfer = transfer_weights(network, metadata, STARTER)
    return network.state_dict(), transfer


def test_keypoints_match_by_name_alias_and_flip_partner() -> None:
    skeleton = Skeleton.from_names("odd", ["L_hand", "knee", "Right Ear", "tail"])
    names = {
        skeleton.keypoint_names[a]: COCO_17.keypoint_names[b] for a, b in match_keypoints(skeleton, COCO_17).items()
    }
    assert names == {"L_hand": "left_wrist", "knee": "left_knee", "Right Ear": "right_ear"}


def test_partner_gives_its_head_where_only_one_side_is_known() -> None:
    one_sided = Skeleton.from_names("one", ["left_paw", "nose"])
    both = Skeleton.from_names("both", ["left_paw", "right_paw"])
    assert match_keypoints(both, one_sided) == {0: 0, 1: 0}


def test_heads_follow_their_keypoints_into_another_order(metadata: ModelMetadata) -> None:
    reordered = replace(COCO_17, keypoint_names=COCO_17.keypoint_names[::-1], limbs=(), sigmas=None)
    state, transfer = transferred(replace(metadata, skeleton=reordered))
    original = load_model(STARTER).network.state_dict()
    assert torch.equal(state[f"{FINEST}.conv.weight"], original[f"{FINEST}.conv.weight"].flip(0))
    assert (len(transfer.matched), transfer.unmatched, transfer.missing) == (17, (), ())


def test_new_keypoint_begins_with_the_mean_gain_and_bias(metadata: ModelMetadata) -> None:
    state, transfer = transferred(replace(metadata, skeleton=LSP_14))
    gains = state[f"{FINEST}.norm.weight"]
    new = [LSP_14.keypoint_names.index(name) for name in transfer.unmatched]
    known = [index for index in range(14) if index not in new]
    assert transfer.unmatched == ("neck", "head_top")
    torch.testing.assert_close(gains[new], gains[known].mean().expand(2))


def test_heads_of_keypoints_that_match_nothing_begin_at_trained_gains(metadata: ModelMetadata) -> None:
    strange = Skeleton.from_names("strange", ["tip", "edge", "middle"])
    state, transfer = transferred(replace(metadata, skeleton=strange))
    assert transfer.unmatched == ("tip", "edge", "middle")
    original = load_model(STARTER).network.state_dict()
    for part in ("weight", "bias"):
        key = f"{FINEST}.norm.{part}"
        torch.testing.assert_close(state[key], original[key].mean().expand(3))
    mix = FINEST.replace("predict", "mix.norm.weight")
    assert not torch.equal(state[mix], original[mix])  # or training would empty the heatmaps
    assert transfer.missing == ()


def test_single_stage_fills_every_stage_of_a_larger_network(metadata: ModelMetadata) -> None:
    state, transfer = transferred(replace(metadata, model="4xrsn18"))
    key = next(name for name in state if name.startswith("stages.3.down.") and name.endswith("conv.weight"))
    assert torch.equal(state[key], state[key.replace("stages.3", "stages.0")])
    assert all(".skips." in name or ".start_next." in name for name in transfer.missing)


def test_added_refine_machine_is_initialized_and_the_rest_taken(metadata: ModelMetadata) -> None:
    _, transfer = transferred(replace(metadata, options={"refine": "last"}))
    assert {".refine." in name for name in transfer.missing} == {True}


@pytest.mark.parametrize(("input_size", "factor"), [((128, 96), 2.0), ((512, 384), 0.5)])
def test_gains_follow_the_side_of_the_input(
    metadata: ModelMetadata, input_size: tuple[int, int], factor: float
) -> None:
    state, _ = transferred(replace(metadata, input_size=input_size))
    original = load_model(STARTER).network.state_dict()
    for part in ("weight", "bias"):
        torch.testing.assert_close(state[f"{FINEST}.norm.{part}"], factor * original[f"{FINEST}.norm.{part}"])


def test_every_tensor_of_a_keypoint_is_known(metadata: ModelMetadata) -> None:
    dimensions = keypoint_dimensions(replace(metadata, options={"refine": "last"}))
    assert dimensions[f"{FINEST}.conv.weight"] == (0,)
    assert dimensions["stages.0.heads.3.refine.transform.conv.weight"] == (0, 1)
    assert dimensions["stem.reduce.conv.weight"] == ()


def test_weights_of_another_architecture_are_rejected(metadata: ModelMetadata, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="tensors fit rsn50; the weights are of rsn18"):
        transferred(replace(metadata, model="rsn50"))
    # rsn18 has no tensor that rsn50 does not have.
    deeper = replace(metadata, model="rsn50")
    save_weights(tmp_path / "rsn50.safetensors", create_model("rsn50"), deeper)
    with pytest.raises(WeightsError, match="tensors fit rsn18; the weights are of rsn50"):
        transfer_weights(create_model("rsn18"), metadata, tmp_path / "rsn50.safetensors")


def test_several_stages_give_a_network_of_one_its_weights(metadata: ModelMetadata, tmp_path: Path) -> None:
    path, larger = tmp_path / "2x.safetensors", create_model("2xmspn50", refine="all")
    several = replace(metadata, model="2xmspn50", options={"refine": "all"})
    save_weights(path, larger, several)
    transfer = transfer_weights(create_model("mspn50"), replace(metadata, model="mspn50"), path)
    assert transfer.missing == ()


def test_summary_names_sources_and_new_heads(metadata: ModelMetadata) -> None:
    skeleton = Skeleton.from_names("dog", ["left_hand", "tail_base", "noze"])
    summary = transferred(replace(metadata, skeleton=skeleton))[1].summary()
    assert "left_hand (from left_wrist)" in summary
    assert "tail_base, noze (nearest: nose)" in summary


def test_create_model_transfers_to_a_skeleton() -> None:
    model = create_model("rsn18", skeleton=LSP_14, pretrained=STARTER)
    original = load_model(STARTER).network.state_dict()
    row = COCO_17.keypoint_names.index("left_knee"), LSP_14.keypoint_names.index("left_knee")
    weights = model.state_dict()[f"{FINEST}.conv.weight"]
    assert torch.equal(weights[row[1]], original[f"{FINEST}.conv.weight"][row[0]])
