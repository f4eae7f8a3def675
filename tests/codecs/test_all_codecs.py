"""Tests that run for every codec of heatmaps."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from rsn.codecs import Codec, HeatmapCodec, codec_from_config, create_codec
from rsn.codecs.base import _CODECS
from rsn.errors import RsnError, UnknownNameError
from rsn.geometry import Crop
from rsn.skeletons import COCO_17

SIZE = (256, 192)
CODECS = [create_codec(name) for name in ("megvii", "mmpose", "unbiased")]
all_codecs = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)


def keypoints(count: int = 4) -> torch.Tensor:
    """Random keypoints away from the border."""
    random = torch.rand(count, 17, 2, generator=torch.Generator().manual_seed(0))
    return 24 + random * torch.tensor([SIZE[1] - 48, SIZE[0] - 48])


def targets(codec: Codec, points: torch.Tensor) -> torch.Tensor:
    """The finest targets of visible keypoints."""
    return codec.encode(points, torch.full(points.shape[:2], 2), SIZE)[:, -1]


def test_all_codecs_of_the_package_are_tested() -> None:
    registered = {name for name, kind in _CODECS.items() if kind.__module__.startswith("rsn.")}
    assert registered == {codec.name for codec in CODECS}


@all_codecs
def test_decoding_targets_gives_the_keypoints_within_a_cell(codec: Codec) -> None:
    points = keypoints()
    found, raw = codec.decode(targets(codec, points))
    assert (found - points).abs().max() < 4
    assert (codec.confidence(raw) > 0.8).all()


@all_codecs
def test_spread_is_the_weighted_distance_of_the_cells_from_the_keypoint(codec: HeatmapCodec) -> None:
    heatmaps = targets(codec, keypoints(2)) + 20 * torch.rand(2, 17, 64, 48) - 10
    found, _ = codec.decode(heatmaps)
    y, x = torch.meshgrid(torch.arange(64), torch.arange(48), indexing="ij")
    cells = 4 * torch.stack([x, y], -1) + codec.cell_center
    squares = (cells - found[:, :, None, None]).square().sum(-1)
    weights = heatmaps.clamp(min=0) ** 1.5
    expected = ((weights * squares).sum((2, 3)) / weights.sum((2, 3))).sqrt()
    torch.testing.assert_close(codec.spread(heatmaps, found), expected, rtol=1e-4, atol=0)
    np.testing.assert_allclose(codec.spread(heatmaps.numpy(), found.numpy()), expected.numpy(), rtol=1e-4)


@all_codecs
def test_spread_is_large_with_a_second_peak_and_without_any(codec: HeatmapCodec) -> None:
    points = torch.full((1, 1, 2), 40.0)
    alone = targets(codec, points)
    twice = alone + 0.8 * targets(codec, points + torch.tensor([80.0, 60.0]))
    sharp, doubtful, empty = (
        float(codec.spread(heatmaps, codec.decode(heatmaps)[0])) for heatmaps in (alone, twice, 0 * alone)
    )
    assert sharp < 15
    assert 50 < doubtful < 100  # the peaks are 100 pixels apart
    assert empty > 90


@all_codecs
def test_an_empty_heatmap_has_no_confidence(codec: Codec) -> None:
    _, raw = codec.decode(torch.zeros(1, 2, 64, 48))
    assert codec.confidence(raw).tolist() == [[0.0, 0.0]]


@all_codecs
@pytest.mark.parametrize("kind", ["targets", "noise", "nothing above 0"])
def test_arrays_are_decoded_as_tensors_are(codec: Codec, kind: str) -> None:
    noise = torch.rand(5, 17, 64, 48, generator=torch.Generator().manual_seed(1)) * 255
    maps = {"targets": targets(codec, keypoints()), "noise": noise, "nothing above 0": -noise}[kind]
    for expected, found in zip(codec.decode(maps), codec.decode(maps.numpy()), strict=True):
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-3)
    back = codec.flip_back(maps.numpy(), COCO_17.flip_indices)
    np.testing.assert_array_equal(back, codec.flip_back(maps, COCO_17.flip_indices).numpy())


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@all_codecs
def test_openvino_decodes_a_large_batch_as_pytorch_does(codec: Codec) -> None:
    """Above some 300 heatmaps OpenVINO's maximum along one axis is wrong if arithmetic follows it."""
    openvino = pytest.importorskip("openvino")

    class Decoding(torch.nn.Module):
        def forward(self, heatmaps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return codec.decode(heatmaps)

    heatmaps = targets(codec, keypoints(32))
    program = torch.jit.trace(Decoding(), heatmaps[:1], check_trace=False)
    model = openvino.convert_model(program, example_input=heatmaps[:1])
    model.reshape([-1, *heatmaps.shape[1:]])
    decoding = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for found, expected in zip(decoding(heatmaps.numpy()).values(), codec.decode(heatmaps), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-3)


@all_codecs
def test_flipping_back_finds_the_keypoints_of_the_crop(codec: Codec) -> None:
    points = keypoints()
    mirrored = points[:, list(COCO_17.flip_indices)]
    mirrored = torch.stack([SIZE[1] - 1 - mirrored[..., 0], mirrored[..., 1]], dim=-1)
    found, _ = codec.decode(codec.flip_back(targets(codec, mirrored), COCO_17.flip_indices))
    assert (found - points).abs().max() < 6  # a cell, and the missing shift of the reference


@all_codecs
@pytest.mark.parametrize("target", CODECS, ids=lambda codec: codec.name)
def test_heatmaps_can_be_resampled_to_the_crops_of_any_other_codec(codec: Codec, target: Codec) -> None:
    box = [10.0, 20.0, 90.0, 120.0]
    crop, wider = (Crop.from_box(box, SIZE, (factor, factor)) for factor in (1.0, 1.25))
    points = keypoints(1)
    moved = codec.resample(targets(codec, points), [crop], target, [wider])
    found, _ = target.decode(moved)
    expected = torch.from_numpy(wider.to_input(crop.to_image(points[0].numpy())))
    assert (found[0] - expected).abs().max() < 5


@all_codecs
def test_the_mean_score_is_within_the_scores(codec: Codec) -> None:
    raw = torch.tensor([[0.5, 1.0, 1.5]])
    assert 0.5 <= codec.mean_score(raw).item() <= 1.5


@all_codecs
def test_options_survive_in_the_configuration(codec: Codec) -> None:
    assert isinstance(codec, HeatmapCodec)
    changed = replace(codec, blur_kernel_size=9, kernel_sizes=(7, 5))
    assert {field.name for field in fields(changed)} < changed.to_config().keys()
    assert codec_from_config(changed.to_config()) == changed
    assert codec_from_config(codec.name) == codec
    assert "blur_kernel_size 9" in changed.summary()


@all_codecs
def test_invalid_options_are_refused(codec: Codec) -> None:
    for options in (
        {"blur_kernel_size": 4},
        {"blur_kernel_size": "wide"},
        {"blur": 5},
        {"kernel_sizes": [3]},
    ):
        with pytest.raises(RsnError, match=f"codec {codec.name}: "):
            create_codec(codec.name, **options)


def test_an_unknown_codec_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean mmpose"):
        create_codec("mm-pose")
