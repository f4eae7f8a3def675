"""Training of the people detector: the pose network with other outputs, by the trainer of pose networks."""

import math
import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from rsn.codecs.box import BoxCodec, BoxTargets
from rsn.data.coco import read_json
from rsn.data.detection import (
    BOX_LABELS,
    DetectionAugmentation,
    DetectionCropDataset,
    collate,
    read_detection_samples,
)
from rsn.data.device_images import DeviceImages, cut_quarters
from rsn.data.loading import Batch
from rsn.detection.starter import StarterDetector
from rsn.evaluation.detection import complete_images, measure_detector
from rsn.geometry import DOWNSCALES
from rsn.models.catalog import create_model
from rsn.models.network import PoseNetwork
from rsn.models.stages import HeatmapHead
from rsn.training.callbacks import Measured
from rsn.training.detection_loss import BoxLoss, negative_weight
from rsn.training.loop import Task, run_task
from rsn.training.module import Levels, TrainingModule
from rsn.training.recipe import BaseRecipe
from rsn.weights.loading import load_model
from rsn.weights.metadata import PERSON_BOX, DetectorSettings, ModelMetadata

PRIOR_PROBABILITY = (
    0.02  # that everything is a person's middle: a network that begins lower is quicker to learn who is not
)
BOX_THRESHOLD = 0.02  # of boxes that count in the evaluation


@dataclass(frozen=True)
class DetectorRecipe(BaseRecipe):
    """One training run of a detector.

    pretrained: weights of a pose network or a detector of ours; what is shared is taken. unlabeled: how much
    finding somebody counts against the network away from the labeled people, in images where not everybody is
    labeled. repeat_complete: how often images in which everybody is labeled are shown, against once the others.
    """

    input_size: tuple[PositiveInt, PositiveInt] = (256, 256)
    detector: DetectorSettings = field(default_factory=DetectorSettings)
    pretrained: Annotated[str, AfterValidator(os.path.expanduser)] | None = "rsn18.starter"
    unlabeled: NonNegativeFloat = 0.1
    repeat_complete: PositiveInt = 1
    augmentation: DetectionAugmentation = field(default_factory=DetectionAugmentation)
    box_weight: PositiveFloat = 4.0
    val_interval: PositiveInt = 500


def train_detector(recipe: DetectorRecipe, *, resume: bool = False) -> Path:
    """Train; leaves best.safetensors (highest AP50), last.safetensors, the states to resume from, and logs.

    Raises:
        RecipeError: the folder holds another run, or `resume` was not asked for, or the other way round.
        AnnotationError, WeightsError: what the recipe points at cannot be used.
        TrainingError: the loss is no number any more, or the run was stopped (Ctrl-C, SIGTERM).
    """
    return run_task(recipe, partial(_box_task, recipe), resume=resume)


def _box_task(recipe: DetectorRecipe) -> Task:
    images = [
        image
        for source in recipe.train
        for image in read_detection_samples(source.annotations, source.images)
    ]
    images = [image for image in images for _ in range(recipe.repeat_complete if image.complete else 1)]
    network = detector_network(recipe.model, recipe.pretrained)
    return Task(
        network,
        detector_metadata(recipe),
        partial(DetectionCropDataset, images, recipe.input_size, recipe.augmentation, seed=recipe.seed),
        partial(BoxTraining, network, recipe),
        MeasureBoxes(recipe),
        [image.path for image in images],
        levels=len(DOWNSCALES),
        collate=collate,
        headlines=(f"training   {len(images)} images",),
    )


def detector_network(model: str, pretrained: str | None) -> PoseNetwork:
    """A network with a detector's five maps; all but its last layers are those of `pretrained`, or of chance."""
    network = create_model(model, num_keypoints=len(PERSON_BOX))
    for head in (module for module in network.modules() if isinstance(module, HeatmapHead)):
        torch.nn.init.constant_(
            head.predict.norm.bias[:1], math.log(PRIOR_PROBABILITY / (1 - PRIOR_PROBABILITY))
        )
    if pretrained is not None:
        other, _ = load_model(pretrained)
        wanted = network.state_dict()
        shared = {key: value for key, value in other.state_dict().items() if value.shape == wanted[key].shape}
        network.load_state_dict(shared, strict=False)
    return network.train()


class BoxTraining(TrainingModule):
    """Trains a detector."""

    def __init__(
        self, network: PoseNetwork, recipe: DetectorRecipe, images: DeviceImages | None = None
    ) -> None:
        super().__init__(network, detector_metadata(recipe), recipe, images)
        self.size = recipe.input_size  # of crops; detectors see images of other sizes
        self.unlabeled = recipe.unlabeled
        self.loss = BoxLoss(recipe.box_weight)

    def prepare(self, batch: Batch) -> tuple[Batch, BoxTargets, Tensor]:
        """Encode the boxes; their number changes with every batch, so it is not captured."""
        corners, present = batch["corners"], batch["present"]
        targets = BoxCodec().encode(corners, present, self.size)
        unlabeled = torch.where(batch["complete"], 1.0, self.unlabeled)
        background = negative_weight(corners, present, batch["ignored"], unlabeled, self.size)
        shown = {name: tensor for name, tensor in batch.items() if name not in BOX_LABELS}
        return shown, targets, background

    def cut(self, images: DeviceImages, shown: Batch) -> Tensor:
        """Four images for each crop, or four times the same."""
        return cut_quarters(images, shown, self.size)

    def compare(self, predictions: Levels, *targets: Any) -> Tensor:
        """The loss of the only stage."""
        (levels,) = predictions
        return self.loss(levels, *targets)


class MeasureBoxes:
    """AP of a detector on the validation set's completely labeled images.

    Raises:
        AnnotationError: there are none.
    """

    def __init__(self, recipe: DetectorRecipe) -> None:
        self.images = recipe.validation.images
        self.annotations = read_json(recipe.validation.annotations)  # once, not in every round
        complete_images(self.annotations)  # what keeps it from being validated is said now
        self.metadata = detector_metadata(recipe)

    def __call__(self, network: PoseNetwork, device: str) -> Measured:
        """Detect, and compare with the labels."""
        detector = StarterDetector(network, self.metadata, device=device, box_threshold=BOX_THRESHOLD)
        scores = measure_detector(detector, self.annotations, self.images)
        noted = {"AP": round(scores.ap, 4), "AP50": round(scores.ap50, 4)}
        return Measured({"ap": scores.ap, "ap50": scores.ap50}, "ap50", noted)


def detector_metadata(recipe: DetectorRecipe) -> ModelMetadata:
    """What belongs to the weights of a run: whole images, five maps, how they are looked at."""
    side = max(recipe.detector.image_sizes)
    return ModelMetadata(
        model=recipe.model,
        skeleton=PERSON_BOX,
        input_size=(side, side),
        bbox_padding=(1.0, 1.0),
        detector=recipe.detector,
        trained_on=recipe.trained_on,
        license=recipe.license,
    )
