"""Training of the person detector: the pose network with five maps, trained by the same loop."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from rsn.codecs.box import BoxCodec, BoxTargets
from rsn.data.detection import DetectionAugmentation, DetectionCropDataset, collate, read_detection_samples
from rsn.data.device_images import warp_quadrants
from rsn.data.image_files import check_files
from rsn.data.loading import Batch
from rsn.detection.starter import StarterDetector
from rsn.errors import RecipeError
from rsn.evaluation.detection import complete_images, measure_detector
from rsn.io.images import DOWNSCALES
from rsn.io.validation import read_json, read_mapping
from rsn.models.catalog import build_model
from rsn.models.stages import HeatmapHead
from rsn.training.detection_loss import BoxLoss, negative_weight
from rsn.training.loop import run_task
from rsn.training.module import Task, ValidationResult
from rsn.training.recipe import BaseRecipe, DatasetConfig, Recipe, WeightsSource, read_recipe_as
from rsn.weights.metadata import DetectorMetadata, DetectorSettings, WeightsMetadata
from rsn.weights.transfer import transfer_weights

PRIOR_PROBABILITY = 0.02  # initial score of every cell: a network that starts low learns the negatives faster
BOX_THRESHOLD = 0.02  # of boxes that are evaluated


@dataclass(frozen=True)
class DetectionDatasetConfig(DatasetConfig):
    """A dataset of images with boxes.

    unlabeled: weight of negatives away from labeled people in all of its images; without it 1 in images with
    `annotations_complete` and the recipe's `unlabeled` in the others.
    """

    unlabeled: NonNegativeFloat | None = None


@dataclass(frozen=True)
class DetectorRecipe(BaseRecipe):
    """One training run of a person detector. A recipe with `detector` is one.

    pretrained: weights of a pose network or a detector; all tensors of the same shape are used.
    unlabeled: weight of negatives away from labeled people, in images where not everyone is labeled.
    repeat_complete: how often images where everyone is labeled appear per epoch; the others appear once.
    box_weight: of the box loss against the center loss.
    """

    train: tuple[DetectionDatasetConfig, ...]
    input_size: tuple[PositiveInt, PositiveInt] = (256, 256)
    detector: DetectorSettings = field(default_factory=DetectorSettings)
    pretrained: WeightsSource | None = "rsn18.starter"
    unlabeled: NonNegativeFloat = 0.1
    repeat_complete: PositiveInt = 1
    augmentation: DetectionAugmentation = field(default_factory=DetectionAugmentation)
    box_weight: PositiveFloat = 4.0
    val_interval: PositiveInt = 500


def read_any_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe | DetectorRecipe:
    """Read the recipe of a pose network, or of a detector if it has the setting `detector`; see `read_recipe_as`."""
    if "detector" in read_mapping(path, what="a recipe", error=RecipeError):
        return read_recipe_as(DetectorRecipe, path, overrides)
    return read_recipe_as(Recipe, path, overrides)


def train_detector(recipe: DetectorRecipe, *, resume: bool = False) -> Path:
    """Train; leaves best.safetensors (highest AP50), last.safetensors, checkpoints to resume from, and logs.

    Raises:
        RecipeError: the folder holds another run, or `resume` does not fit what it holds.
        AnnotationError, WeightsError: files that the recipe names cannot be used.
        TrainingError: the loss is not finite, or the run was stopped (Ctrl-C, SIGTERM).
    """
    return run_task(recipe, partial(detection_task, recipe), resume=resume)


def detection_task(recipe: DetectorRecipe) -> Task:
    """The task of a recipe, see `Task`."""
    if not recipe.train:
        raise RecipeError("Invalid train: expected at least one set, got none; add its annotations and images")
    samples, weights, headlines = [], [], []
    for source in recipe.train:
        images = read_detection_samples(source.annotations, source.images, unlabeled=recipe.unlabeled)
        check_files({image.path for image in images}, source.images)
        if source.unlabeled is not None:
            images = [replace(image, unlabeled=source.unlabeled) for image in images]
        samples += images
        weights += [source.sampling_weight * (recipe.repeat_complete if one.complete else 1) for one in images]
        headlines.append(f"training   {len(images)} images of {source.annotations}")
    side = max(recipe.detector.image_sizes)
    metadata = DetectorMetadata(
        model=recipe.model,
        input_size=(side, side),
        detector=recipe.detector,
        trained_on=recipe.trained_on,
        license=recipe.license,
    )
    return Task(
        detector_network(metadata, recipe.pretrained),
        metadata,
        dataset=partial(DetectionCropDataset, samples, recipe.input_size, recipe.augmentation, seed=recipe.seed),
        encode=encode_boxes,
        loss=BoxLoss(recipe.box_weight),
        crop=warp_quadrants,
        validate=DetectionValidation(recipe),
        weights=weights,
        paths=[sample.path for sample in samples],
        levels=len(DOWNSCALES),
        collate=collate,
        headlines=headlines,
    )


def detector_network(metadata: DetectorMetadata, pretrained: str | None) -> nn.Module:
    """A network with the five maps of a detector; other layers are taken from `pretrained`, or random."""
    network = build_model(metadata.model, metadata.num_outputs)
    for head in (module for module in network.modules() if isinstance(module, HeatmapHead)):
        nn.init.constant_(head.predict.norm.bias[:1], math.log(PRIOR_PROBABILITY / (1 - PRIOR_PROBABILITY)))
    if pretrained is not None:
        transfer_weights(network, metadata, pretrained)
    return network


def encode_boxes(batch: Batch, size: tuple[int, int]) -> tuple[BoxTargets, Tensor]:
    """The targets of a batch and the weights of its negatives, what the loss gets after the predictions."""
    boxes, present, unlabeled = batch["corners"], batch["present"], batch["unlabeled"]
    negatives = negative_weight(boxes, present, batch["ignored"], unlabeled, size)
    return BoxCodec().encode(boxes, present, size), negatives


class DetectionValidation:
    """Computes AP of a detector on the completely labeled images of the validation set.

    Raises:
        AnnotationError: there are none.
    """

    def __init__(self, recipe: DetectorRecipe) -> None:
        self.images = recipe.validation.images
        self.annotations = read_json(recipe.validation.annotations)
        complete_images(self.annotations)  # raises now rather than at the first validation

    def __call__(self, network: nn.Module, metadata: WeightsMetadata, device: str) -> ValidationResult:
        """Detect people, and compare the boxes with the labels."""
        assert isinstance(metadata, DetectorMetadata)
        detector = StarterDetector.from_network(network, metadata, device=device, box_threshold=BOX_THRESHOLD)
        scores = measure_detector(detector, self.annotations, self.images)
        stored = {"AP": round(scores.ap, 4), "AP50": round(scores.ap50, 4)}
        return ValidationResult({"ap": scores.ap, "ap50": scores.ap50}, "ap50", stored)
