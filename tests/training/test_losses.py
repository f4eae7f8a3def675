"""The pose loss equals those of the references."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rsn.training.losses import COARSE_LEVEL_WEIGHT, PoseLoss, TargetWeighting


@pytest.fixture(scope="module")
def oracle(oracles: Path) -> dict[str, np.ndarray]:
    with np.load(oracles / "loss.npz") as loss, np.load(oracles / "targets_coco.npz") as targets:
        return {name: loss[name] for name in loss} | {name: targets[name] for name in targets}


def outputs(stages: int) -> Tensor:
    """The predictions of the oracle's networks."""
    random = np.random.Generator(np.random.PCG64(100 + stages))
    return torch.from_numpy(random.standard_normal((stages, 4, 6, 17, 64, 48)).astype(np.float32) * 20)


@pytest.mark.parametrize("stages", [1, 2, 4])
@pytest.mark.parametrize("ohkm_topk", [8, None])
@pytest.mark.parametrize("coarse_to_fine", [True, False])
def test_loss_and_gradients_equal_those_of_the_rsn_repository(
    oracle: dict[str, np.ndarray], stages: int, ohkm_topk: int | None, coarse_to_fine: bool
) -> None:
    predictions = outputs(stages).requires_grad_()
    compare = PoseLoss(ohkm_topk=ohkm_topk, coarse_to_fine=coarse_to_fine)
    loss = compare(predictions, torch.from_numpy(oracle["labels"]), torch.from_numpy(oracle["valids"])[..., 0])
    loss.backward()
    name = f"s{stages}_ohkm{int(ohkm_topk is not None)}_ctf{int(coarse_to_fine)}"
    assert loss.item() == pytest.approx(oracle[f"loss_{name}"].item(), rel=1e-5)
    norms = predictions.grad.flatten(2).norm(dim=2)
    np.testing.assert_allclose(norms, oracle[f"gradnorm_{name}"], rtol=1e-4)


@pytest.mark.parametrize("stages", [1, 2, 4])
def test_terms_equal_those_of_the_rsn_repository(oracle: dict[str, np.ndarray], stages: int) -> None:
    terms = PoseLoss().terms(
        outputs(stages), torch.from_numpy(oracle["labels"]), torch.from_numpy(oracle["valids"])[..., 0]
    )
    weights = torch.tensor([COARSE_LEVEL_WEIGHT, COARSE_LEVEL_WEIGHT, COARSE_LEVEL_WEIGHT, 1.0])
    np.testing.assert_allclose(terms.numpy(), weights.numpy() * oracle[f"components_s{stages}"], rtol=1e-5)


@pytest.mark.parametrize("stages", [1, 2, 4])
def test_loss_equals_that_of_mmpose_with_its_target_weighting(oracle: dict[str, np.ndarray], stages: int) -> None:
    labels, visibility = torch.from_numpy(oracle["mmpose_labels"]), torch.from_numpy(oracle["valids"])[..., 0]
    loss = PoseLoss(target_weighting="mmpose")(outputs(stages), labels, visibility)
    assert loss.item() == pytest.approx(oracle[f"mmpose_loss_s{stages}"].item(), rel=1e-5)


def test_gradients_agree_with_finite_differences() -> None:
    predictions = torch.randn(1, 4, 2, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    targets, visibility = torch.rand(2, 5, 3, 8, 8).double(), torch.tensor([[2, 1, 0], [2, -1, 2]])
    assert torch.autograd.gradcheck(lambda maps: PoseLoss()(maps, targets, visibility), predictions)


@pytest.mark.parametrize("target_weighting", ["rsn", "mmpose", "empty"])
def test_keypoints_that_are_not_annotated_have_no_gradient(target_weighting: TargetWeighting) -> None:
    predictions = torch.randn(1, 4, 2, 3, 8, 8, requires_grad=True)
    visibility = torch.tensor([[2, -1, 0], [1, -1, 2]])
    PoseLoss(target_weighting=target_weighting)(predictions, torch.rand(2, 5, 3, 8, 8), visibility).backward()
    touched = predictions.grad.abs().sum((-2, -1))[0] > 0  # (levels, people, keypoints)
    assert not touched[:, :, 1].any()
    absent = touched[:3, 0, 2]
    assert not absent.any() if target_weighting == "mmpose" else absent.all()
    assert touched[3, 1, 0]


def test_ohkm_topk_may_exceed_the_number_of_keypoints() -> None:
    loss = PoseLoss()(torch.ones(1, 4, 2, 1, 8, 8), torch.zeros(2, 5, 1, 8, 8), torch.full((2, 1), 2))
    assert loss.item() == pytest.approx(3 * COARSE_LEVEL_WEIGHT + 1)


@pytest.mark.parametrize(("target_weighting", "wanted"), [("rsn", 0.0), ("mmpose", 5.0), ("empty", 5.0)])
def test_target_weighting_of_occluded_keypoints_on_coarse_levels(
    target_weighting: TargetWeighting, wanted: float
) -> None:
    targets = torch.full((1, 5, 1, 8, 8), 5.0)
    right = torch.full((1, 4, 1, 1, 8, 8), wanted)
    assert PoseLoss(target_weighting=target_weighting).terms(right, targets, torch.tensor([[1]]))[0, :3].sum() == 0
