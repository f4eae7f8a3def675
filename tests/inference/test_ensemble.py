"""Ensembles: the average of the heatmaps of several models."""

import gc
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from rsn import MPII_16, PoseEstimator, PoseModel, create_model
from rsn.codecs import MegviiCodec, MMPoseCodec, UnbiasedCodec
from rsn.errors import RsnError
from rsn.geometry import Crop
from rsn.models.inference_graph import InferenceGraph
from rsn.weights import loading
from rsn.weights.loading import load_model, save_weights
from rsn.weights.metadata import ModelMetadata
from rsn.weights.uncertainty import Uncertainty

estimate = partial(PoseEstimator, backend="torch")
BOXES = [[10.0, 5.0, 60.0, 90.0], [60.0, 20.0, 50.0, 80.0], [20.0, 10.0, 90.0, 60.0]]


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("models")
    for seed in range(3):
        torch.manual_seed(seed)
        save_weights(folder / f"{seed}.safetensors", create_model("res18"), ModelMetadata("res18", input_size=(64, 64)))
    return [folder / f"{seed}.safetensors" for seed in range(3)]


def keypoints(estimator: PoseEstimator, image: np.ndarray) -> np.ndarray:
    people = estimator(image, BOXES, box_format="xywh")
    return np.array([np.column_stack([person.keypoints, person.raw_scores]) for person in people])


def test_ensemble_of_a_model_with_itself_equals_the_model(models: list[Path], image: np.ndarray) -> None:
    alone, twice = estimate(models[0]), estimate([models[0], models[0]])
    np.testing.assert_allclose(keypoints(twice, image), keypoints(alone, image), atol=1e-6)


def test_heatmaps_are_averaged_by_weight(models: list[Path], image: np.ndarray) -> None:
    apart = [estimate(path) for path in models[:2]]
    crops = [Crop.from_box(box, (64, 64), apart[0].metadata.bbox_padding) for box in BOXES]
    pixels = torch.from_numpy(np.stack([crop.warp(image) for crop in crops])).permute(0, 3, 1, 2)
    maps = [estimator.model.open()(pixels.numpy()) for estimator in apart]
    expected, scores = MegviiCodec().decode(0.75 * maps[0] + 0.25 * maps[1])
    found = keypoints(estimate(models[:2], ensemble_weights=[3, 1]), image)
    for crop, points, values, person in zip(crops, expected, scores, found, strict=True):
        np.testing.assert_allclose(person[:, :2], crop.to_image(points.numpy()), atol=1e-3)
        np.testing.assert_allclose(person[:, 2], values.numpy(), atol=1e-4)


def test_low_memory_gives_the_same_results_and_holds_one_model(
    models: list[Path], image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = models[:2]
    process_group = keypoints(estimate(models, batch_size=2), image)
    alive: list[int] = []
    build = loading.build_model

    def counted(*args, **options):
        gc.collect()
        alive.append(sum(type(thing) is InferenceGraph for thing in gc.get_objects()))
        return build(*args, **options)

    monkeypatch.setattr(loading, "build_model", counted)
    apart = keypoints(estimate(models, low_memory=True, batch_size=2), image)
    np.testing.assert_allclose(apart, process_group, atol=1e-5)
    assert set(alive) == {0}  # when the next is read
    assert len(alive) > len(models)


def test_heatmaps_of_other_input_sizes_are_aligned() -> None:
    """Keypoints drawn on each model's own crops lie on each other on the crops of the first."""
    all_metadata = [
        ModelMetadata("rsn18", input_size=(256, 192)),
        ModelMetadata("rsn18", input_size=(384, 288), bbox_padding=(1.25, 1.25)),
        ModelMetadata("rsn18", input_size=(256, 256), bbox_padding=(1.25, 1.25)),
    ]
    crops = [
        [Crop.from_box(box, metadata.input_size, metadata.bbox_padding) for box in BOXES] for metadata in all_metadata
    ]
    points = np.array(
        [[[x + width * a, y + height * b] for a, b in ((0.5, 0.2), (0.3, 0.7))] for x, y, width, height in BOXES]
    )
    first = None
    for metadata, theirs in zip(all_metadata, crops, strict=True):
        inside = torch.from_numpy(np.stack([crop.to_input(at) for crop, at in zip(theirs, points, strict=True)]))
        first = inside if first is None else first
        codec = UnbiasedCodec()
        maps = codec.encode(inside, torch.full(inside.shape[:2], 2), metadata.input_size)[:, 0]
        moved = codec.resample(maps, theirs, codec, crops[0])
        assert tuple(moved.shape) == (3, 2, 64, 48)
        found, _ = codec.decode(moved)
        assert (found - first).abs().max() < 0.5  # input pixels


def test_resample_returns_heatmaps_of_equal_crops_unchanged() -> None:
    crops = [Crop.from_box(box, (64, 64), (1.0, 1.0)) for box in BOXES]
    maps = torch.randn(3, 17, 16, 16)
    assert MegviiCodec().resample(maps, crops, MMPoseCodec(), list(crops)) is maps


def test_resample_moves_heatmaps_of_another_codec() -> None:
    """A keypoint encoded without rounding is read by the reference's decoder where it is."""
    metadata = ModelMetadata("rsn18", input_size=(256, 192))
    crops = [Crop.from_box(box, metadata.input_size, metadata.bbox_padding) for box in BOXES]
    points = torch.tensor([[[80.0, 120.0], [61.0, 90.0]]] * 3)  # 80 = 4 * 19.625 + 1.5
    codec = UnbiasedCodec()
    maps = codec.encode(points, torch.full((3, 2), 2), metadata.input_size)[:, 0]
    moved = codec.resample(maps, crops, MegviiCodec(), crops)
    read, _ = codec.decode(moved)  # cells at 4j + 1.5, half a pixel before the reference's
    assert torch.allclose(read + 0.5, points, atol=0.05)


def test_ensemble_of_different_inputs_runs(models: list[Path], image: np.ndarray, tmp_path: Path) -> None:
    wide = ModelMetadata("res18", input_size=(96, 64), bbox_padding=(1.25, 1.25), codec=MMPoseCodec())
    save_weights(tmp_path / "wide.safetensors", create_model("res18"), wide)
    estimator = estimate([tmp_path / "wide.safetensors", models[0]], flip_test=True)
    assert estimator.metadata.codec == MMPoseCodec()
    assert np.isfinite(keypoints(estimator, image)).all()


def test_models_in_memory_form_an_ensemble(image: np.ndarray) -> None:
    models = [PoseModel(create_model(name), ModelMetadata(name, input_size=(64, 64))) for name in ("res18", "rsn18")]
    assert len(estimate(models)(image, BOXES, box_format="xywh")) == 3


@pytest.mark.parametrize("odd", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, float("inf")]])
def test_ensemble_rejects_invalid_weights(models: list[Path], odd: list[float]) -> None:
    with pytest.raises(RsnError, match="Invalid ensemble_weights: expected 2 numbers, none below 0"):
        estimate(models[:2], ensemble_weights=odd)


def test_ensemble_rejects_models_of_other_skeletons(models: list[Path], tmp_path: Path) -> None:
    mpii = ModelMetadata("res18", skeleton=MPII_16, input_size=(64, 64))
    save_weights(tmp_path / "mpii.safetensors", create_model("res18", num_keypoints=16), mpii)
    with pytest.raises(RsnError, match=r"first predicts the 17 of coco_17, .*mpii\.safetensors the 16 of mpii_16"):
        estimate([models[0], tmp_path / "mpii.safetensors"])


def test_estimator_rejects_an_empty_list_of_models() -> None:
    with pytest.raises(RsnError, match="at least one model"):
        estimate([])


def test_ensemble_has_the_three_steps_of_a_single_model(models: list[Path], image: np.ndarray) -> None:
    for sources in (models[:1], models):
        estimator = estimate(sources, batch_size=2)
        crops = estimator.preprocess(image, np.array(BOXES), np.ones(3))
        heatmaps = estimator.forward([crops])
        assert heatmaps.shape[:2] == (3, 17)
        (result,) = estimator.postprocess([crops], heatmaps)
        np.testing.assert_array_equal(result.keypoints, keypoints(estimator, image)[..., :2])


def test_expected_errors_are_those_of_the_averaged_heatmaps(models: list[Path], image: np.ndarray) -> None:
    """With the calibration of the first model; without one they are unknown."""
    plain = [load_model(path) for path in models[:2]]
    uncertainty = Uncertainty(2.0, 0.5, 1.0)
    calibrated = PoseModel(plain[0].network, replace(plain[0].metadata, uncertainty=uncertainty))
    assert np.isnan(estimate([plain[0], calibrated])(image, BOXES, box_format="xywh").std).all()
    estimator = estimate([calibrated, plain[1]])
    result = estimator(image, BOXES, box_format="xywh")
    crops = estimator.preprocess(image, np.array(BOXES), np.ones(3))
    heatmaps = estimator.forward([crops])
    spread = MegviiCodec().spread(heatmaps, MegviiCodec().decode(heatmaps)[0]).numpy()
    scale = np.array([[crop.scale] for crop in crops.crops])  # pixels of the crop per pixel of the image
    np.testing.assert_allclose(result.std, 2 * spread**0.5 * np.exp(-result.scores) / scale, rtol=1e-5)
