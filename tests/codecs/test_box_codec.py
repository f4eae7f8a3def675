"""The box codec: boxes -> targets -> boxes."""

import numpy as np
import torch

from rsn.codecs.box import (
    OFFSET_UNIT,
    SIZE_UNIT,
    BoxCodec,
    BoxTargets,
    corners_of,
)

SIZE = (128, 192)
BOXES = torch.tensor([[10.0, 20, 50, 100], [100, 8, 180, 120], [60, 60, 66, 72]])


def _maps_that_say(targets: BoxTargets) -> torch.Tensor:
    """The outputs of a perfect network."""
    _, height, width = targets.center_heatmap.shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    cells = (torch.stack([x, y], -1) + 0.5) * 4
    centers = (targets.corners[..., :2] + targets.corners[..., 2:]) / 2
    extents = (targets.corners[..., 2:] - targets.corners[..., :2]).clamp(min=1)
    parts = [
        torch.logit(targets.center_heatmap, eps=1e-6)[..., None],
        torch.log(extents / SIZE_UNIT),
        (centers - cells) / OFFSET_UNIT,
    ]
    return torch.cat(parts, -1).permute(0, 3, 1, 2)


def _encode(*boxes: list[float] | torch.Tensor, size: tuple[int, int] = SIZE) -> BoxTargets:
    rows = torch.stack([torch.as_tensor(box, dtype=torch.float32) for box in boxes])[None]
    return BoxCodec().encode(rows, torch.ones(1, len(rows[0]), dtype=torch.bool), size)


def test_decode_returns_the_encoded_boxes() -> None:
    corners, scores = BoxCodec().decode(_maps_that_say(_encode(*BOXES)))
    assert (scores[0, :3] > 0.999).all()
    assert (scores[0, 3:] < 0.1).all()
    order = corners[0, :3, 0].argsort()
    torch.testing.assert_close(corners[0, :3][order], BOXES[BOXES[:, 0].argsort()], atol=1e-3, rtol=0)


def test_flip_back_finds_the_boxes_of_the_crop() -> None:
    flipped = BOXES.clone()
    flipped[:, [0, 2]] = SIZE[1] - BOXES[:, [2, 0]]
    straight = BoxCodec().decode(_maps_that_say(_encode(*BOXES)))
    back = BoxCodec().decode(BoxCodec().flip_back(_maps_that_say(_encode(*flipped))))
    by_left = [found[0, :3][found[0, :3, 0].argsort()] for found, _ in (straight, back)]
    torch.testing.assert_close(by_left[0], by_left[1], atol=1e-3, rtol=0)
    torch.testing.assert_close(straight[1][0, :3], back[1][0, :3])


def test_decode_returns_random_boxes() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        low = random.uniform(0, (150, 90), (1, 2))
        box = torch.tensor(np.hstack([low, low + random.uniform(5, (40, 35), (1, 2))]), dtype=torch.float32)
        corners, scores = BoxCodec().decode(_maps_that_say(_encode(*box)))
        assert scores[0, 0] > 0.999
        torch.testing.assert_close(corners[0, :1], box, atol=1e-3, rtol=0)


def test_weights_of_each_person_sum_to_one() -> None:
    targets = _encode(*BOXES)
    assert (targets.center_heatmap == 1).sum() == 3
    torch.testing.assert_close(targets.weights.sum(), torch.tensor(3.0))
    far = (targets.center_heatmap < 0.1) & (targets.weights > 0)
    assert not far.any()


def test_nearby_cells_are_trained_with_the_smaller_box() -> None:
    large, small = [20.0, 4, 180, 124], [92.0, 54, 108, 74]  # the same center
    targets = _encode(large, small)
    assert targets.corners[0, 16, 25].tolist() == small
    assert targets.corners[0, 16, 29].tolist() == large  # beside the Gaussian of the small one
    assert targets.weights.sum() > 1.9


def test_absent_rows_give_no_targets() -> None:
    targets = BoxCodec().encode(BOXES[None], torch.zeros(1, 3, dtype=torch.bool), SIZE)
    assert targets.center_heatmap.max() == 0
    assert targets.weights.max() == 0


def test_centers_at_the_border_stay_on_the_map() -> None:
    targets = _encode([184.0, 120, 192, 128], [0.0, 0, 6, 3])
    assert (targets.center_heatmap == 1).sum() == 2


def test_box_sizes_are_bounded() -> None:
    maps = torch.zeros(1, 5, 4, 4)
    maps[:, 1:3] = 100
    assert torch.isfinite(corners_of(maps)).all()


def test_arrays_are_decoded_as_tensors_are() -> None:
    maps = torch.randn(2, 5, 16, 24, generator=torch.Generator().manual_seed(0))
    for expected, found in zip(BoxCodec().decode(maps), BoxCodec().decode(maps.numpy()), strict=True):
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-3)
    np.testing.assert_array_equal(BoxCodec().flip_back(maps.numpy()), BoxCodec().flip_back(maps).numpy())
