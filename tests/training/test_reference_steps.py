"""Training steps equal those of the RSN repository: loss, gradients, statistics, Adam."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from reference_weights import reference_state
from rsn import create_model, load_weights
from rsn.models.network import PoseNetwork
from rsn.training.losses import PoseLoss
from rsn.training.optimization import build_optimizer
from rsn.training.recipe import OptimizationConfig
from rsn.weights.conversion import convert_state_dict

KEYS = "keys_orig_rsn18_coco.json"
CONSTANT_RATE = 1e-3  # that the recorded steps were made with


class Steps:
    """The network and the batch of the recorded steps."""

    def __init__(self, oracles: Path, dtype: torch.dtype) -> None:
        self.recorded = dict(np.load(oracles / "train_rsn18.npz"))
        rows = self.recorded["target_rows"]
        pixels = np.random.Generator(np.random.PCG64(777)).standard_normal((4, 3, 256, 192))
        # The recorded network takes BGR, ours RGB.
        self.pixels = torch.from_numpy(pixels.astype(np.float32)).flip(1).to(dtype)
        self.targets = torch.from_numpy(np.load(oracles / "targets_coco.npz")["labels"][rows]).to(dtype)
        self.visibility = torch.from_numpy(np.load(oracles / "loss.npz")["valids"][rows])[..., 0]
        self.network: PoseNetwork = create_model("rsn18")
        load_weights(self.network, reference_state(oracles / KEYS))
        self.network.to(dtype).train()

    def loss(self) -> Tensor:
        return PoseLoss()(self.network.heatmaps(self.pixels), self.targets, self.visibility)


def renamed(names: np.ndarray, values: np.ndarray) -> dict[str, float]:
    """Values of the reference's parameters by our names; ours have no biases before batch norms."""
    named = {
        str(name): torch.full((1, 1, 1, 1), float(value))
        for name, value in zip(names, values, strict=True)
        if not str(name).endswith("conv.bias")
    }
    return {name: value.item() for name, value in convert_state_dict(named).items()}


@torch.no_grad()
def test_first_loss_and_batch_norm_statistics_equal_the_reference(oracles: Path) -> None:
    steps = Steps(oracles, torch.float32)
    assert steps.loss().item() == pytest.approx(steps.recorded["loss64"].item(), rel=1e-5)
    names = steps.recorded["buffer_names"]
    means = renamed(names, steps.recorded["buffer_mean_std"][:, 0])
    for name, statistic in steps.network.named_buffers():
        if name.endswith("running_var"):  # means are shifted by the biases that ours lack
            assert statistic.mean().item() == pytest.approx(means[name], rel=1e-3), name


@pytest.mark.slow
def test_gradients_and_adam_steps_equal_the_reference(oracles: Path) -> None:
    steps = Steps(oracles, torch.float64)
    optimizer = build_optimizer(steps.network, OptimizationConfig(learning_rate=CONSTANT_RATE))
    losses = []
    for _ in range(3):
        loss = steps.loss()
        loss.backward()
        if not losses:
            norms = {name: value.grad.norm().item() for name, value in steps.network.named_parameters()}
        losses.append(loss.item())
        optimizer.step()
        optimizer.zero_grad()
    expected = renamed(steps.recorded["param_names"], steps.recorded["grad_norm64"])
    assert norms == pytest.approx(expected, rel=1e-6)
    assert losses == pytest.approx(steps.recorded["adam_losses64"].tolist(), rel=1e-9)
