"""The loss of the person detector."""

import pytest
import torch
from torch import Tensor

from rsn.codecs.box import OFFSET_UNIT, SIZE_UNIT, BoxCodec, corners_of
from rsn.training.detection_loss import BoxLoss, center_loss, generalized_iou, negative_weight

SIZE = (128, 128)
PERSON = torch.tensor([[[40.0, 24, 72, 104]]])
THERE = torch.ones(1, 1, dtype=torch.bool)
NOWHERE = torch.zeros(1, 1, 4)


def _background(unlabeled: float, ignored: Tensor = NOWHERE) -> Tensor:
    return negative_weight(PERSON, THERE, ignored, torch.tensor([unlabeled]), SIZE)


def _perfect() -> Tensor:
    """Maps with a certain center and no other, and the right box in every cell."""
    targets = BoxCodec().encode(PERSON, THERE, SIZE)
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    cells = (torch.stack([x, y], -1) + 0.5) * 4
    maps = torch.zeros(1, 5, 32, 32)
    maps[:, 0] = torch.where(targets.center_heatmap == 1, 12.0, -12.0)
    maps[:, 1], maps[:, 2] = torch.log(torch.tensor(32 / SIZE_UNIT)), torch.log(torch.tensor(80 / SIZE_UNIT))
    maps[:, 3:] = ((torch.tensor([56.0, 64.0]) - cells) / OFFSET_UNIT).permute(2, 0, 1)
    return maps


def test_box_loss_is_zero_for_perfect_maps_and_grows_with_errors() -> None:
    targets, background = BoxCodec().encode(PERSON, THERE, SIZE), _background(1.0)
    perfect = _perfect()
    assert BoxLoss()([[perfect] * 4], targets, background) < 1e-3
    missed, box_loss = perfect.clone(), perfect.clone()
    missed[:, 0] = -12
    box_loss[:, 1] += 0.5
    assert BoxLoss()([[perfect] * 3 + [missed]], targets, background) > 5
    assert BoxLoss()([[perfect] * 3 + [box_loss]], targets, background) > 1
    coarse = BoxLoss()([[missed, perfect, perfect, perfect]], targets, background)
    finest = BoxLoss()([[perfect, perfect, perfect, missed]], targets, background)
    torch.testing.assert_close(finest, 4 * coarse, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("unlabeled", [0.0, 0.25, 1.0])
def test_detections_of_unlabeled_people_are_weighted(unlabeled: float) -> None:
    targets = BoxCodec().encode(PERSON, THERE, SIZE)
    logits = _perfect()[:, 0].clone()
    logits[0, 2, 30] = 3.0  # in the far corner
    logits.requires_grad_()
    center_loss(logits, targets.center_heatmap, _background(unlabeled)).backward()
    full = -torch.nn.functional.logsigmoid(torch.tensor(-3.0)) * torch.tensor(3.0).sigmoid() ** 2
    found = center_loss(logits, targets.center_heatmap, _background(unlabeled))
    torch.testing.assert_close(found.detach(), unlabeled * full, atol=1e-3, rtol=1e-3)
    assert (logits.grad[0, 2, 30] != 0) == (unlabeled > 0)


def test_negatives_near_a_labeled_person_count_fully() -> None:
    background = _background(0.0)
    assert background[0, 16, 17] == 1  # within the box
    assert background[0, 16, 18] == 1  # just beside it, at x = 74
    assert background[0, 16, 28] == 0


def test_crowds_are_ignored() -> None:
    background = _background(1.0, torch.tensor([[[80.0, 0, 128, 128]]]))
    assert background[0, :, 20:].max() == 0
    assert background[0, :, :20].min() == 1


def test_box_loss_of_a_batch_without_people_is_finite() -> None:
    absent = torch.zeros(1, 1, dtype=torch.bool)
    targets = BoxCodec().encode(PERSON, absent, SIZE)
    background = negative_weight(PERSON, absent, NOWHERE, torch.ones(1), SIZE)
    maps = torch.zeros(1, 5, 32, 32, requires_grad=True)
    loss = BoxLoss()([[maps] * 4], targets, background)
    loss.backward()
    assert loss > 0
    assert torch.isfinite(maps.grad).all()
    assert maps.grad[:, 1:].abs().max() == 0  # there is no box to fit


def test_generalized_iou_of_simple_boxes() -> None:
    box = torch.tensor([0.0, 0, 2, 2])
    others = torch.tensor([[0.0, 0, 2, 2], [1, 0, 3, 2], [2, 0, 4, 2], [3, 0, 5, 2]])
    torch.testing.assert_close(generalized_iou(box, others), torch.tensor([1.0, 1 / 3, 0.0, -0.2]))


def test_corners_of_perfect_maps_are_the_box_in_every_cell() -> None:
    torch.testing.assert_close(corners_of(_perfect())[0, 3, 5], PERSON[0, 0])
