"""The Muon optimizer."""

from collections.abc import Sequence
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from rsn.errors import RecipeError
from rsn.training.muon import Muon, orthogonalize
from rsn.training.optimization import build_optimizer
from rsn.training.recipe import OptimizationConfig
from small_network import small_network

RATE, DECAY = 0.02, 0.1


def take_steps(optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor], steps: int) -> None:
    for step in range(steps):
        for parameter in parameters:
            random = torch.Generator().manual_seed(step)
            parameter.grad = torch.randn(parameter.shape, generator=random)
        optimizer.step()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="needs the Muon of PyTorch 2.9")
@pytest.mark.parametrize("shape", [(24, 24), (16, 72), (72, 16)])
def test_steps_on_matrices_equal_those_of_pytorch(shape: tuple[int, int]) -> None:
    before = torch.randn(shape, generator=torch.Generator().manual_seed(9))
    ours, theirs = (nn.Parameter(before.clone()) for _ in range(2))
    take_steps(Muon([{"params": [ours], "lr": RATE, "weight_decay": DECAY, "momentum": 0.95}]), [ours], 3)
    take_steps(torch.optim.Muon([theirs], lr=RATE, weight_decay=DECAY, momentum=0.95), [theirs], 3)
    assert (ours - theirs).norm() < 0.02 * (ours - before).norm()  # PyTorch's product is in bfloat16


def test_convolution_is_trained_as_the_matrix_of_its_output_channels() -> None:
    before = torch.randn(8, 4, 3, 3)
    group = {"lr": RATE, "weight_decay": DECAY, "momentum": 0.95}
    filters = nn.Parameter(before.clone().to(memory_format=torch.channels_last))
    matrix = nn.Parameter(before.reshape(8, 36).clone())
    gradient = torch.randn(8, 4, 3, 3)
    filters.grad, matrix.grad = gradient.clone(), gradient.reshape(8, 36).clone()
    Muon([group | {"params": [filters]}]).step()
    Muon([group | {"params": [matrix]}]).step()
    torch.testing.assert_close(filters.reshape(8, 36), matrix)


@pytest.mark.parametrize("native", [True, False])
def test_product_is_in_bfloat16_only_where_the_processor_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    monkeypatch.setattr("rsn.training.muon.multiplies_bf16", lambda device: native)
    matrix = nn.Parameter(torch.randn(8, 12))
    optimizer = Muon([{"params": [matrix], "lr": RATE, "weight_decay": 0.0, "momentum": 0.95}])
    before = matrix.detach().clone()
    take_steps(optimizer, [matrix], 1)
    change = (before - matrix.detach()) / RATE
    rounded = torch.allclose(change, change.bfloat16().float(), rtol=1e-4, atol=1e-5)
    assert rounded == native


def test_vectors_are_trained_by_adamw() -> None:
    before = torch.randn(12)
    ours, theirs = (nn.Parameter(before.clone()) for _ in range(2))
    take_steps(Muon([{"params": [ours], "lr": RATE, "weight_decay": DECAY}]), [ours], 3)
    take_steps(torch.optim.AdamW([theirs], lr=RATE, weight_decay=DECAY), [theirs], 3)
    torch.testing.assert_close(ours, theirs)


def test_orthogonalized_matrices_have_singular_values_near_one() -> None:
    matrices = torch.randn(3, 20, 50, generator=torch.Generator().manual_seed(1))
    for some in (matrices, matrices.mT):
        found = orthogonalize(some)
        assert found.shape == some.shape
        values = torch.linalg.svdvals(found)
        assert values.min() > 0.6
        assert values.max() < 1.3
        assert (found * some).sum() > 0  # in the direction of the matrix


def test_state_is_saved_and_loaded() -> None:
    network, other = (small_network(3) for _ in range(2))
    other.load_state_dict(network.state_dict())
    config = OptimizationConfig(optimizer="muon", decay_norm_and_bias=False)
    ours, theirs = (build_optimizer(one, config) for one in (network, other))
    take_steps(ours, list(network.parameters()), 1)
    other.load_state_dict(network.state_dict())
    theirs.load_state_dict(deepcopy(ours.state_dict()))
    for optimizer, one in ((ours, network), (theirs, other)):
        take_steps(optimizer, list(one.parameters()), 2)
    for a, b in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_muon_has_a_learning_rate_for_matrices_and_one_for_the_rest() -> None:
    config = OptimizationConfig(optimizer="muon", muon_learning_rate=0.02, weight_decay=0.1, decay_norm_and_bias=False)
    matrices, vectors = build_optimizer(small_network(3), config).param_groups
    assert {parameter.ndim for parameter in vectors["params"]} == {1}
    assert {parameter.ndim for parameter in matrices["params"]} == {4}
    assert (vectors["lr"], vectors["weight_decay"]) == (4e-3, 0.0)
    assert (matrices["lr"], matrices["weight_decay"]) == (0.02, 0.1)


def test_build_optimizer_rejects_muon_without_matrices() -> None:
    with pytest.raises(RecipeError, match=r"Invalid optimization\.optimizer: expected adamw, since muon trains"):
        build_optimizer(nn.BatchNorm2d(4), OptimizationConfig(optimizer="muon"))
