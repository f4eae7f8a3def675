"""RT-DETR and D-FINE of transformers: tiny models with random weights, stored as published ones are."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from rsn.detection import open_detector
from rsn.errors import DeviceError, UnknownNameError, WeightsError

transformers = pytest.importorskip("transformers")

LABELS = {0: "cat", 1: "person", 2: "dog"}
COMMON = {
    "encoder_hidden_dim": 16, "encoder_in_channels": [8, 16, 16], "d_model": 16, "encoder_ffn_dim": 16,
    "encoder_attention_heads": 2, "decoder_in_channels": [16, 16, 16], "decoder_ffn_dim": 16,
    "decoder_attention_heads": 2, "decoder_layers": 2, "num_queries": 20, "num_denoising": 0, "id2label": LABELS,
}  # fmt: skip


# The one that needs no torchvision; before transformers 5 it had the plain name.
Processor = getattr(transformers, "RTDetrImageProcessorPil", None) or transformers.RTDetrImageProcessor


def _backbone() -> transformers.PretrainedConfig:
    return transformers.RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )


def _rtdetr() -> transformers.PreTrainedModel:
    config = transformers.RTDetrConfig(backbone_config=_backbone(), **COMMON)
    return transformers.RTDetrForObjectDetection(config)


def _rtdetr_v2() -> transformers.PreTrainedModel:
    config = transformers.RTDetrV2Config(backbone_config=_backbone(), **COMMON)
    return transformers.RTDetrV2ForObjectDetection(config)


def _dfine() -> transformers.PreTrainedModel:
    backbone = transformers.HGNetV2Config(
        stem_channels=[3, 8, 8], embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1],
        stage_in_channels=[8, 8, 8, 16], stage_mid_channels=[8, 8, 8, 8], stage_out_channels=[8, 8, 16, 16],
        stage_num_blocks=[1, 1, 1, 1], stage_numb_of_layers=[1, 1, 1, 1],
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = transformers.DFineConfig(backbone_config=backbone, **COMMON)
    return transformers.DFineForObjectDetection(config)


@pytest.fixture(scope="module", params=[_rtdetr, _rtdetr_v2, _dfine], ids=["rtdetr", "rtdetr_v2", "dfine"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("detector")
    model = request.param()
    for name, parameter in model.named_parameters():
        if "class_embed" in name and parameter.shape == (len(LABELS),):
            parameter.data[1] += 3.0  # people are the likeliest everywhere
    model.save_pretrained(path)
    Processor(size={"height": 96, "width": 64}).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (96, 64, 3)).astype(np.uint8)


def test_detr_detector_equals_transformers(folder: Path, image: np.ndarray) -> None:
    processor = Processor.from_pretrained(folder)
    model = transformers.AutoModelForObjectDetection.from_pretrained(folder).eval()
    with torch.inference_mode():
        answer = model(**processor(images=image, return_tensors="pt"))
    (theirs,) = processor.post_process_object_detection(answer, threshold=0.0, target_sizes=[(96, 64)])
    people = theirs["labels"] == 1
    assert people.any()

    boxes, scores = open_detector(folder, device="cpu", box_threshold=0.0)(image)
    corners = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])
    for box, score in zip(theirs["boxes"][people].numpy(), theirs["scores"][people].numpy(), strict=True):
        box = np.clip(box, 0, [64, 96, 64, 96])
        if (box[2:] - box[:2] < 2).any():
            continue
        distance = np.abs(corners - box).max(1) + np.abs(scores - score)
        assert distance.min() < 1e-3
    assert (np.diff(scores) <= 0).all()


def test_detr_detector_resizes_the_image(folder: Path) -> None:
    """Enlarged without loss, an image gives the same boxes, enlarged."""
    detector = open_detector(folder, device="cpu", box_threshold=0.0)
    small = np.zeros((96, 64, 3), np.uint8)
    small[20:80, 10:50] = (200, 60, 30)
    large = small.repeat(3, 0).repeat(3, 1)
    boxes, scores = detector(small)
    enlarged, same_scores = detector(large)
    assert len(boxes) > 0
    np.testing.assert_allclose(same_scores, scores, atol=1e-5)
    np.testing.assert_allclose(enlarged, boxes * 3, atol=0.05)


def test_detr_detector_without_detections(folder: Path, image: np.ndarray) -> None:
    boxes, scores = open_detector(folder, device="cpu", box_threshold=1.0)(image)
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


def test_detr_detector_rejects_a_model_without_person_class(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {"0": "cat", "1": "horse", "2": "dog"}
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="no label 'person' among its 3"):
        open_detector(tmp_path / "model", device="cpu")


def test_detr_detector_rejects_other_models_and_damaged_folders(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(WeightsError, match="expected a model of type rt_detr, rt_detr_v2, d_fine, got bert"):
        open_detector(tmp_path)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(WeightsError, match="no usable detector of that name in that folder"):
        open_detector(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(WeightsError, match="no usable detector of that name in that folder") as caught:
        open_detector(tmp_path)
    assert "\n" not in str(caught.value)


def test_detr_detector_rejects_pickled_weights(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "preprocessor_config.json"):
        shutil.copy(folder / name, tmp_path)
    model = transformers.AutoModelForObjectDetection.from_pretrained(folder)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="no usable detector of that name"):
        open_detector(tmp_path)


def test_open_detector_rejects_unknown_names_and_devices(folder: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean rtdetr"):
        open_detector("rtdeter")
    with pytest.raises(DeviceError, match="warp"):
        open_detector(folder, device="warp")
