"""A small network is trained on drawn people and finds the keypoints of other drawn people."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml

from people_on_disk import write_people
from rsn import PoseEstimator
from rsn.data.coco import read_coco
from rsn.io.images import read_image
from rsn.models.network import PoseNetwork
from rsn.models.registry import register_model
from rsn.models.residual_steps import residual_steps
from rsn.skeletons import Skeleton
from rsn.training.recipe import read_recipe
from rsn.training.run import train

NAMES = ("nose", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist")
LIMBS = ((0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6))
FEW_PIXELS = 5  # shoulders, the closest pair, are 23 pixels apart


def keypoint_errors(folder: Path, monkeypatch: pytest.MonkeyPatch, *, flip_pairs: list[list[str]] | None) -> np.ndarray:
    """Train, and return the mean error of each keypoint in pixels: the nose, then (pair, side).

    flip_pairs: of the skeleton; None takes them from the names.
    """
    small = partial(PoseNetwork, block=residual_steps, blocks_per_layer=(1,) * 4, num_stages=1, up_channels=32)
    register_model("small", small)
    skeleton = folder / "skeleton.yaml"
    skeleton.write_text(yaml.safe_dump({"name": "upper", "keypoints": list(NAMES), "flip_pairs": flip_pairs}))
    sources = {}
    for name, images, seed in (("train", 16, 0), ("validation", 4, 1)):
        resolved = Skeleton.from_names("upper", NAMES, LIMBS)
        annotations = write_people(folder / name, images=images, skeleton=resolved, seed=seed)
        source = {"annotations": annotations, "images": annotations.parent / "images", "skeleton": skeleton}
        sources[name] = {key: str(path) for key, path in source.items()}
    document = {
        "output": str(folder / "run"), "model": "small", "input_size": [64, 64], "codec": "unbiased",
        "train": [sources["train"]], "validation": sources["validation"], "head_bn_gamma": 20, "val_interval": 60,
        "optimization": {"steps": 60, "batch_size": 8, "warmup_steps": 5, "learning_rate": 4e-3},
        "augmentation": {
            "half_body_probability": 0, "max_rotation": 10, "jitter": [0.2, 0.2], "scale": [0.9, 1.0]
        },
        "compute": {"workers": 0, "cache_images": "device"},
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(yaml.safe_dump(document))
    train(read_recipe(folder / "recipe.yaml"))
    estimator = PoseEstimator(folder / "run" / "last.safetensors", backend="torch", device="cpu")
    errors = []
    for person in read_coco(annotations, annotations.parent / "images").people:
        (found,) = estimator(read_image(person.image.path), [person.box], box_format="xywh")
        errors.append(np.linalg.norm(found.keypoints - person.keypoints, axis=1))
    return np.mean(errors, axis=0)


@pytest.mark.filterwarnings("ignore::rsn.errors.RsnWarning")  # of assumed sigmas
def test_short_training_finds_keypoints_within_a_few_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert keypoint_errors(tmp_path, monkeypatch, flip_pairs=None).max() < FEW_PIXELS


@pytest.mark.filterwarnings("ignore::rsn.errors.RsnWarning")
def test_training_without_flip_pairs_confuses_left_and_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flipped people have keypoints of the wrong side, so at least one keypoint of every pair is missed."""
    nose, *paired = keypoint_errors(tmp_path, monkeypatch, flip_pairs=[])
    assert nose < FEW_PIXELS
    assert (np.reshape(paired, (3, 2)).max(axis=1) > 2 * FEW_PIXELS).all()
