"""The numbers of the reference implementations, on one small sample of each kind; see oracles/README.md."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from reference_weights import filled
from rsn import COCO_17, create_model, load_weights
from rsn.codecs import MegviiCodec, MMPoseCodec, create_codec
from rsn.evaluation.mpii import pckh
from rsn.geometry import Crop
from rsn.oks import nms, oks, soft_nms
from rsn.training.losses import PoseLoss

ORACLES = Path(__file__).parent / "oracles"
SIZE = (256, 192)


def load(name: str) -> dict[str, np.ndarray]:
    with np.load(ORACLES / f"{name}.npz") as file:
        return dict(file)


def tensors(name: str) -> dict[str, Tensor]:
    return {key: torch.from_numpy(value) for key, value in load(name).items()}


@pytest.mark.parametrize(("codec", "reference"), [("megvii", "rsn"), ("mmpose", "mmpose")])
def test_encoding_gives_the_references_target_heatmaps(codec: str, reference: str) -> None:
    oracle = tensors("codec")
    found = create_codec(codec).encode(oracle["joints"], oracle["visibility"], SIZE)
    torch.testing.assert_close(found, oracle[f"{reference}_targets"], atol=1e-3, rtol=0)


@pytest.mark.parametrize(("codec", "reference"), [("megvii", "rsn"), ("mmpose", "mmpose")])
def test_decoding_gives_the_references_keypoints_and_scores(codec: str, reference: str) -> None:
    oracle = tensors("codec")
    keypoints, scores = create_codec(codec).decode(oracle["heatmaps"])
    torch.testing.assert_close(keypoints.double(), oracle[f"{reference}_keypoints"].double(), atol=1e-4, rtol=0)
    torch.testing.assert_close(scores.double(), oracle[f"{reference}_scores"].double(), atol=1e-5, rtol=0)


def network_output(stages: int) -> Tensor:
    """What the recorded losses were computed for: (stages, levels, samples, keypoints, height, width)."""
    random = np.random.Generator(np.random.PCG64(100 + stages))
    return torch.from_numpy(random.standard_normal((stages, 4, 6, 17, 64, 48)).astype(np.float32) * 20)


@pytest.mark.parametrize(
    ("stages", "ohkm_topk", "coarse_to_fine"), [(1, 8, True), (1, None, True), (1, 8, False), (2, 8, True)]
)
def test_loss_and_gradients_are_those_of_rsn(stages: int, ohkm_topk: int | None, coarse_to_fine: bool) -> None:
    oracle = tensors("loss")
    targets = MegviiCodec().encode(oracle["joints"], oracle["visibility"], SIZE)
    output = network_output(stages).requires_grad_()
    compare = PoseLoss(ohkm_topk=ohkm_topk, coarse_to_fine=coarse_to_fine)
    loss = compare(output, targets, oracle["visibility"])
    loss.backward()
    name = f"s{stages}_ohkm{int(ohkm_topk is not None)}_ctf{int(coarse_to_fine)}"
    assert loss.item() == pytest.approx(oracle[f"loss_{name}"].item(), rel=1e-5)
    norms = output.grad.flatten(2).norm(dim=2)
    torch.testing.assert_close(norms.double(), oracle[f"gradnorm_{name}"], rtol=1e-4, atol=0)


def test_loss_under_the_mmpose_convention_is_that_of_mmpose() -> None:
    oracle = tensors("loss")
    targets = MMPoseCodec().encode(oracle["joints"], oracle["visibility"], SIZE)
    loss = PoseLoss(target_weighting="mmpose")(network_output(1), targets, oracle["visibility"])
    assert loss.item() == pytest.approx(oracle["mmpose_loss_s1"].item(), rel=1e-5)


def test_heatmaps_of_rsn18_are_those_of_the_rsn_repository() -> None:
    oracle = load("network")
    shapes = [tuple(int(side) for side in shape if side) for shape in oracle["shapes"]]
    model = create_model("rsn18")
    load_weights(model, filled(zip(map(str, oracle["names"]), shapes, strict=True)))
    images = torch.from_numpy(oracle["x"]).flip(1)  # the reference takes BGR; ours takes RGB
    with torch.inference_mode():
        heatmaps = model.eval()(images)[:, :, ::4, ::4]
    torch.testing.assert_close(heatmaps, torch.from_numpy(oracle["heatmaps"]), atol=1e-4, rtol=0)


def similarity(oracle: Mapping[str, np.ndarray], above: float | None = None) -> np.ndarray:
    """OKS of all pairs of the recorded poses."""
    poses = oracle["keypoints"], oracle["area"]
    return oks(*poses, *poses, COCO_17.sigmas, score_above=above)


def test_oks_is_that_of_mmpose() -> None:
    oracle = load("oks_nms")
    assert similarity(oracle)[0] == pytest.approx(oracle["iou0"], abs=1e-6)


@pytest.mark.parametrize(("above", "kept"), [(None, "keep_0.5"), (0.2, "keep_vis0.2_0.5")])
def test_oks_nms_keeps_the_poses_that_mmpose_keeps(above: float | None, kept: str) -> None:
    oracle = load("oks_nms")
    assert nms(similarity(oracle, above), oracle["score"], 0.5).tolist() == oracle[kept].tolist()


def test_soft_oks_nms_keeps_the_poses_that_mmpose_keeps() -> None:
    oracle = load("oks_nms")
    assert soft_nms(similarity(oracle), oracle["score"], 0.5)[0].tolist() == oracle["soft_0.5"].tolist()


def test_pckh_is_that_of_hrnet() -> None:
    oracle = load("pckh")
    scores = pckh(oracle["found"], oracle["labelled"], oracle["present"], oracle["head_sizes"]).as_dict()
    scores["Mean@0.1"] = scores.pop("Mean@0.11")  # HRNet takes the 0.11 by this name
    expected = dict(zip(map(str, oracle["columns"]), oracle["percent"], strict=True))
    assert {name: 100 * score for name, score in scores.items()} == pytest.approx(expected, abs=1e-9)


def test_crops_equal_those_of_opencv_4() -> None:
    oracle = load("warp")
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3)).astype(np.uint8)
    for matrix, expected in zip(oracle["matrices"], oracle["crops"], strict=True):
        np.testing.assert_array_equal(Crop(matrix, expected.shape[:2]).warp(image), expected)


def test_oracles_are_small() -> None:
    assert sum(path.stat().st_size for path in ORACLES.iterdir()) < 2_000_000
