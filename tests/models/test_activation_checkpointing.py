"""Activation checkpointing: less memory, the same results."""

from copy import deepcopy

import torch

from rsn.weights.transfer import create_model
from small_network import small_network


def test_activation_checkpointing_does_not_change_a_step() -> None:
    torch.manual_seed(0)
    plain = small_network(3, stages=2).double()
    sparing = deepcopy(plain)
    sparing.checkpoint_activations()
    x = torch.randn(2, 3, 64, 32, dtype=torch.float64)
    for network in (plain, sparing):
        sum(level.square().sum() for stage in network.heatmaps(x) for level in stage).backward()
    state = sparing.state_dict()
    for key, value in plain.state_dict().items():  # statistics too
        torch.testing.assert_close(state[key], value, msg=key)
    for (name, expected), (_, found) in zip(plain.named_parameters(), sparing.named_parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad, msg=name)


def test_activation_checkpointing_stores_fewer_activations() -> None:
    kept = []
    for sparing in (False, True):
        network = create_model("rsn18", num_keypoints=3)
        if sparing:
            network.checkpoint_activations()
        count = 0

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal count
            count += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            network.heatmaps(torch.randn(1, 3, 64, 64))
        kept.append(count)
    assert kept[1] < 0.7 * kept[0]
