"""Fine-tune trained weights on labels of one's own: the recipe is made from the data, no YAML is needed."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsn.data.annotations import PoseDataset
from rsn.data.image_files import check_files
from rsn.data.mpii import is_mpii
from rsn.data.values import normalize_id
from rsn.errors import AnnotationError, RecipeError, RsnWarning
from rsn.io.files import atomic_write
from rsn.io.validation import read_json, validated
from rsn.skeletons import Skeleton
from rsn.training.recipe import DatasetConfig, Recipe, apply_overrides
from rsn.training.run import read_people
from rsn.weights.sources import load_metadata, pose_metadata

VALIDATION_SHARE = 0.1  # of the images
MAX_VALIDATION_IMAGES = 500
VALIDATIONS = 8  # during a run


@dataclass(frozen=True)
class Schedule:
    """How long and how fast weights are fine-tuned, for datasets of up to `persons` persons."""

    persons: float
    batch_size: int
    steps: int
    learning_rate: float


# Documented in docs/your-own-keypoints.md.
SCHEDULES = (
    Schedule(100, 16, 200, 2e-3),
    Schedule(1_000, 16, 800, 2e-3),
    Schedule(10_000, 32, 2_400, 2e-3),
    Schedule(float("inf"), 64, 9_600, 2e-3),
)


def finetuning_recipe(
    annotations: Path,
    images: Path,
    output: Path,
    *,
    pretrained: str = "rsn18.starter",
    validation: Path | None = None,
    skeleton: Path | None = None,
    overrides: Sequence[str] = (),
) -> Recipe:
    """A recipe that fine-tunes trained weights on a labeled dataset.

    Model, input size, padding of boxes and codec are those of the weights, the schedule follows from the number of
    persons (see `SCHEDULES`). Without `validation`, a tenth of the images is held out; the two parts are written to the
    output folder as train.json and validation.json. Crops are not flipped if no keypoint has a flip pair, since the
    names then do not say what becomes of a keypoint.

    Args:
        annotations: a COCO-keypoints file. images: the folder of its images, and of those of `validation`.
        output: the folder of the run.
        pretrained: a weight's name or a file.
        validation: another COCO-keypoints file with the same keypoints.
        skeleton: a skeleton file, if the annotations do not describe their skeleton.
        overrides: settings that differ, such as optimization.steps=100.

    Raises:
        AnnotationError: the labels cannot be used, or are too few to hold some out.
        UnknownNameError, WeightsError: the weights cannot be used. RecipeError: an override is invalid.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RsnWarning)  # which training gives again
        metadata = pose_metadata(load_metadata(pretrained), pretrained)
        people = read_people(DatasetConfig(annotations, images, skeleton))
    if not len(people):
        raise AnnotationError(f"{annotations}: no person has keypoints: {people.summary()}")
    check_files({person.image.path for person in people.people}, images)
    if validation is None:
        annotations, validation, held_out = _split(annotations, people, output)
    else:
        held_out = 0
    schedule = next(one for one in SCHEDULES if len(people) - held_out <= one.persons)
    sets = [
        {"annotations": str(path), "images": str(images)} | ({"skeleton": str(skeleton)} if skeleton else {})
        for path in (annotations, validation)
    ]
    document: dict[str, Any] = {
        "model": metadata.model,
        "pretrained": pretrained,
        "train": sets[:1],
        "validation": sets[1],
        "output": str(output),
        "refine": metadata.options.get("refine", "none"),
        "model_options": {name: value for name, value in metadata.options.items() if name != "refine"},
        "input_size": list(metadata.input_size),
        "bbox_padding": list(metadata.bbox_padding),
        "codec": metadata.codec.to_config(),
        "augmentation": _augmentation(people.skeleton),
        "loss": {"target_weighting": "empty", "ohkm_topk": None},
        "optimization": {
            "steps": schedule.steps,
            "batch_size": min(schedule.batch_size, max(2, len(people) - held_out)),
            "learning_rate": schedule.learning_rate,
            "schedule": "cosine",
            "optimizer": "adamw",
            "weight_decay": 1e-3,
            "decay_norm_and_bias": False,
            "ema_decay": 0.99,
        },
        "compute": {"workers": 0 if len(people) < 1_000 else 4},
    }
    apply_overrides(document, overrides)
    settings = document["optimization"]
    steps = settings.get("steps") if isinstance(settings, dict) else None
    if isinstance(steps, int) and steps > 0:  # else validation says what is wrong
        settings.setdefault("warmup_steps", steps // 20)
        most = max(1, steps // VALIDATIONS)
        document.setdefault("val_interval", next(one for one in range(most, 0, -1) if steps % one == 0))
    return validated(Recipe, document, path="rsn finetune", error=RecipeError)


def _augmentation(skeleton: Skeleton) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "half_body_probability": 0.25,
        "rotation_probability": 0.3,
        "max_rotation": 25.0,
    }
    settings |= {"scale": [0.65, 0.95], "color_jitter": 0.1}
    return settings if skeleton.flip_pairs else settings | {"flip_probability": 0.0}


def _split(annotations: Path, people: PoseDataset, output: Path) -> tuple[Path, Path, int]:
    """Write the training and the validation part of a COCO file; the paths, and the persons that are held out.

    The split is by image, always the same for the same file, and holds out images with persons only.
    """
    if is_mpii(annotations):
        raise AnnotationError(f"{annotations}: an MPII file cannot be split; name validation labels with --val")
    ids = sorted({person.image.id for person in people.people}, key=str)
    count = min(max(1, round(VALIDATION_SHARE * len(ids))), MAX_VALIDATION_IMAGES)
    if len(ids) < 2:
        raise AnnotationError(
            f"{annotations}: expected at least 2 images with labeled persons, one to train on and one to validate with,"
            f" got {len(ids)}; label more, or name validation labels with --val"
        )
    chosen = {normalize_id(ids[index]) for index in np.random.default_rng(0).permutation(len(ids))[:count]}
    document = read_json(annotations)
    parts = {"train.json": False, "validation.json": True}
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, held_out in parts.items():
            part = document | {
                "images": [one for one in document["images"] if (normalize_id(one.get("id")) in chosen) == held_out],
                "annotations": [
                    one for one in document["annotations"] if (normalize_id(one.get("image_id")) in chosen) == held_out
                ],
            }
            atomic_write(output / name, json.dumps(part).encode())
    except OSError as error:
        raise RecipeError(f"cannot write to {output}: {error.strerror or error}") from error
    persons = sum(normalize_id(person.image.id) in chosen for person in people.people)
    return output / "train.json", output / "validation.json", persons
