"""The codecs of heatmaps: against the numbers of the references, and decode against encode."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rsn.codecs import MegviiCodec, MMPoseCodec, UnbiasedCodec
from rsn.codecs.gaussian import gaussian_kernel
from rsn.errors import RsnError
from rsn.skeletons import COCO_17

SIZE = (256, 192)


def load(path: Path, *names: str) -> list[Tensor]:
    with np.load(path) as file:
        return [torch.from_numpy(file[name]) for name in names]


def test_megvii_targets_equal_the_rsn_repository(oracles: Path) -> None:
    keypoints, visibility, labels = load(oracles / "targets_coco.npz", "joints", "valid", "labels")
    torch.testing.assert_close(MegviiCodec().encode(keypoints, visibility[..., 0], SIZE), labels, atol=1e-3, rtol=0)


def test_mmpose_targets_equal_mmpose(oracles: Path) -> None:
    keypoints, visibility, labels, weights = load(
        oracles / "targets_coco.npz", "joints", "valid", "mmpose_labels", "mmpose_weights"
    )
    targets = MMPoseCodec().encode(keypoints, visibility[..., 0], SIZE)
    torch.testing.assert_close(targets, labels, atol=1e-3, rtol=0)
    drawn = targets.amax((-2, -1)) > 0
    assert torch.equal(drawn, weights > 0)


def test_megvii_keypoints_equal_the_rsn_repository(oracles: Path) -> None:
    maps, expected, scores, first, second = load(
        oracles / "decode_coco.npz",
        "heatmaps",
        "keypoints_input_px",
        "scores",
        "margin_top1_top2",
        "margin_top2_top3",
    )
    clear = (first > 1e-4) & (second > 1e-4)  # elsewhere rounding in OpenCV decides
    keypoints, found = MegviiCodec().decode(maps)
    assert clear.float().mean() > 0.6
    torch.testing.assert_close(keypoints[clear].double(), expected[clear], atol=1e-4, rtol=0)
    torch.testing.assert_close(found[clear].double(), scores[..., 0][clear], atol=1e-5, rtol=0)


def test_mmpose_keypoints_equal_mmpose(oracles: Path) -> None:
    maps, expected, scores, margin = load(
        oracles / "decode_coco.npz",
        "heatmaps",
        "mmpose_keypoints_input_px",
        "mmpose_scores",
        "margin_top1_top2",
    )
    keypoints, found = MMPoseCodec().decode(maps)
    clear = (margin > 1e-4) & torch.tensor([[_leans(one) for one in person.numpy()] for person in maps])
    assert clear.float().mean() > 0.65  # ties, plateaus and empty maps are left out
    torch.testing.assert_close(keypoints[clear], expected[clear], atol=1e-4, rtol=0)
    torch.testing.assert_close(found[clear], scores[clear], atol=1e-5, rtol=0)


def _leans(heatmap: np.ndarray) -> bool:
    """Whether the neighbors of the peak differ on both axes; else rounding in OpenCV decides."""
    cv2 = pytest.importorskip("cv2")
    blurred = np.pad(cv2.GaussianBlur(np.pad(heatmap, 2), (5, 5), 0)[2:-2, 2:-2], 1)
    y, x = np.unravel_index(blurred.argmax(), blurred.shape)
    slopes = blurred[y, x + 1] - blurred[y, x - 1], blurred[y + 1, x] - blurred[y - 1, x]
    return min(map(abs, slopes)) > 1e-3


def test_mmpose_decodes_empty_heatmaps_to_half() -> None:
    keypoints, scores = MMPoseCodec().decode(torch.stack([torch.zeros(1, 64, 48), -torch.ones(1, 64, 48)]))
    assert keypoints.tolist() == [[[-4.0, -4.0]], [[-4.0, -4.0]]]
    assert scores[0].item() == 0.5
    assert scores[1].item() < 0.5


def test_flip_back_equals_the_rsn_repository(oracles: Path) -> None:
    maps, expected = load(oracles / "flip_coco.npz", "x", "y")
    assert torch.equal(MegviiCodec().flip_back(maps, COCO_17.flip_indices), expected)


@pytest.mark.parametrize("kernel", [5, 7, 9, 11, 15])
def test_kernels_equal_opencv(kernel: int) -> None:
    cv2 = pytest.importorskip("cv2")
    np.testing.assert_allclose(gaussian_kernel(kernel), cv2.getGaussianKernel(kernel, 0)[:, 0], atol=1e-12)


@pytest.mark.parametrize("kernel", [3, 8, 101])
def test_kernels_without_a_reference_are_rejected(kernel: int) -> None:
    with pytest.raises(ValueError, match="odd number"):
        gaussian_kernel(kernel)


@pytest.mark.parametrize("size", [(128, 96), (256, 192), (384, 288), (256, 256)])
def test_megvii_decodes_its_targets_within_a_cell(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    keypoints = torch.rand(8, 17, 2, generator=generator) * torch.tensor([size[1], size[0]])
    targets = MegviiCodec().encode(keypoints, torch.full((8, 17), 2), size)
    found, scores = MegviiCodec().decode(targets[:, -1])
    assert (found - keypoints).abs().max() <= 2 + 1 + 4  # half a cell, a quarter step, and a border that moves it
    assert (found - keypoints).abs().median() <= 2
    assert scores.min() > 1.2  # at the border the keypoint is beside the peak


def test_only_visible_keypoints_inside_the_crop_are_drawn() -> None:
    keypoints = torch.tensor([[[50.0, 60.0], [50.0, 60.0], [50.0, 60.0], [50.0, 60.0], [-8.0, 60.0], [50.0, 256.0]]])
    targets = MegviiCodec().encode(keypoints, torch.tensor([[2, 1, 0, -1, 2, 2]]), SIZE)
    assert (targets.amax((-2, -1)) > 0).all(1).tolist() == [[True, True, False, False, False, False]]


@pytest.mark.parametrize("kernel", [5, 9])
def test_megvii_keypoints_equal_a_loop_with_opencv(kernel: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    by_loops = importlib.import_module("reference.codec").decode
    noise = torch.randn(5, 17, 16, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    noise[1] -= 2  # few positive values
    noise[2] -= 20  # none
    noise[3] = noise[3].clamp(max=0) + 100 * (noise[3] == noise[3].amax())  # one, somewhere
    noise[4, :, 0, 0] = 50  # a peak in the corner, whose blur reaches beyond
    for found, expected in zip(
        MegviiCodec(blur_kernel_size=kernel).decode(noise), by_loops(noise.numpy(), kernel), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_decode_takes_an_empty_batch() -> None:
    keypoints, scores = MegviiCodec().decode(torch.zeros(0, 17, 64, 48))
    assert keypoints.shape == (0, 17, 2)
    assert scores.shape == (0, 17)


def test_megvii_decodes_empty_heatmaps_to_the_corner() -> None:
    keypoints, scores = MegviiCodec().decode(torch.stack([torch.zeros(1, 64, 48), -torch.ones(1, 64, 48)]))
    assert keypoints.tolist() == [[[2.0, 2.0]], [[2.0, 2.0]]]
    assert scores[0].item() == 0.5
    assert scores[1].item() < 0.5


def test_encode_rejects_a_heatmap_too_small_for_the_kernel() -> None:
    with pytest.raises(RsnError, match="at most 7 for a heatmap of 4"):
        MegviiCodec().encode(torch.zeros(1, 1, 2), torch.ones(1, 1), (16, 16))


def test_unbiased_decodes_positions_between_cells() -> None:
    keypoints = torch.rand(2, 17, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([150.0, 210.0]) + 20
    maps = UnbiasedCodec(kernel_sizes=(7,)).encode(keypoints, torch.full((2, 17), 2), SIZE)[:, 0]
    found, scores = UnbiasedCodec().decode(maps)
    torch.testing.assert_close(found, keypoints, atol=0.02, rtol=0)
    assert scores.min() > 1.35
    rounded, _ = MegviiCodec().decode(
        MegviiCodec(kernel_sizes=(7,)).encode(keypoints, torch.full((2, 17), 2), SIZE)[:, 0]
    )
    assert (rounded - keypoints).abs().mean() > 0.5  # what the reference's cells cost


def test_unbiased_flips_without_a_shift() -> None:
    keypoints = torch.tensor([[[40.3, 100.9], [150.2, 30.4]]])
    flipped = torch.stack([SIZE[1] - 1 - keypoints[..., 0], keypoints[..., 1]], dim=-1)
    visibility = torch.full((1, 2), 2)
    maps = UnbiasedCodec().encode(keypoints, visibility, SIZE)
    back = MegviiCodec().flip_back(UnbiasedCodec().encode(flipped, visibility, SIZE)[:, 0], (0, 1))
    torch.testing.assert_close(back, maps[:, 0])


def test_unbiased_keeps_peaks_that_it_cannot_refine() -> None:
    maps = torch.zeros(1, 3, 64, 48)
    maps[0, 0, 0, 5] = 255  # at the border
    maps[0, 1] = 100.0  # flat
    found, scores = UnbiasedCodec().decode(maps)
    assert found[0, 0].tolist() == [5 * 4 + 1.5, 1.5]
    assert torch.isfinite(found).all()
    assert scores[0, 2] == 0.5
