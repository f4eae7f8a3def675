"""Training of the people detector: the pose network with other outputs, by the machinery that trains poses."""

import logging
import math
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, cast

import torch
from lightning import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from pydantic import AfterValidator, ConfigDict, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rsn.crops import SHRINKS
from rsn.datasets.boxed import BoxBatch, BoxCrops, BoxedImage, BoxLabels, Framing, collate, read_boxed
from rsn.datasets.coco import read_json
from rsn.datasets.loading import Share, ShuffledBatches
from rsn.datasets.resident import BoxPlanBatch, BoxPlans, Cuts, ResidentPictures, cut_quarters
from rsn.evaluation.boxes import complete_images, measure_detector
from rsn.heatmaps.boxes import PERSON_BOX, BoxTargets, encode_boxes
from rsn.inference.detection.starter import StarterDetector
from rsn.networks.card import Card, DetectorSettings
from rsn.networks.catalog import create_model
from rsn.networks.network import PoseNetwork
from rsn.networks.stages import HeatmapHead
from rsn.networks.weights import load_model, save_weights
from rsn.processes import Processes
from rsn.training.averaging import AveragedWeights
from rsn.training.box_loss import BoxLoss, background_of
from rsn.training.folder import BEST, LAST, open_folder
from rsn.training.health import FiniteLoss, check_batch_norms
from rsn.training.loop import build_trainer, check_step, fit, share_of
from rsn.training.optimisation import build_optimizer, build_schedule, use_learning_rate
from rsn.training.recipe import Compute, Optimisation, Source, UserPath
from rsn.training.steps import loss_by

FIRST_SCORE = (
    0.02  # that everything is a person's middle: a network that begins lower is quicker to learn who is not
)
BOX_THRESHOLD = 0.02  # of boxes that count in the evaluation
LOG_EVERY = 20  # batches
ALONE = Processes()  # a detector is trained in one


@dataclass(frozen=True)
class DetectorRecipe:
    """One training run of a detector.

    start_from: weights of a pose network or a detector of ours; what is shared is taken. unlabelled: how much
    finding somebody counts against the network away from the labelled people, in pictures where not everybody is
    labelled. repeat_complete: how often pictures in which everybody is labelled are shown, against once the others.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    train: tuple[Source, ...]
    validation: Source
    output: UserPath
    model: str = "rsn18"
    input_size: tuple[PositiveInt, PositiveInt] = (256, 256)
    detector: DetectorSettings = field(default_factory=DetectorSettings)
    start_from: Annotated[str, AfterValidator(os.path.expanduser)] | None = "rsn18.starter"
    unlabelled: NonNegativeFloat = 0.1
    repeat_complete: PositiveInt = 1
    framing: Framing = field(default_factory=Framing)
    box_weight: PositiveFloat = 4.0
    optimisation: Optimisation = field(default_factory=Optimisation)
    compute: Compute = field(default_factory=Compute)
    validate_every: PositiveInt = 500
    seed: int = 0
    trained_on: str = ""
    license: str = ""


def train_detector(recipe: DetectorRecipe, *, resume: bool = False) -> Path:
    """Train; leaves best.safetensors (highest AP50), last.safetensors, the states to resume from, and logs.

    Raises:
        RecipeError: the folder holds another run, or `resume` was not asked for, or the other way round.
        AnnotationError, WeightsError: what the recipe points at cannot be used.
        TrainingError: the loss is no number any more, or the run was stopped (Ctrl-C, SIGTERM).
    """
    share = share_of(ALONE, recipe.optimisation.batch_size, recipe.compute.accumulate)
    check_step(recipe.compute.step, ALONE)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    seed_everything(recipe.seed, verbose=False)
    network = detector_network(recipe.model, recipe.start_from)
    check_batch_norms(network, recipe.optimisation.batch_size // recipe.compute.accumulate, recipe.input_size)
    if recipe.compute.recompute:
        network.recompute_blocks()
    state = open_folder(recipe, ALONE, resume=resume)
    settings = recipe.optimisation
    averaged = AveragedWeights(network, settings.average) if settings.average else None
    every = min(LOG_EVERY, recipe.validate_every)
    callbacks = [*([averaged] if averaged else []), FiniteLoss(every), BoxValidation(recipe, averaged)]
    rounds = settings.steps // recipe.validate_every
    trainer = build_trainer(recipe.output, rounds, recipe.compute, callbacks, ALONE, log_every=every)
    images = _images(recipe)
    pictures = _resident(images, trainer) if recipe.compute.images == "device" else None
    module = BoxTraining(network, recipe, pictures)
    fit(trainer, module, _loader(recipe, images, share, pictures), state, steps=settings.steps)
    return recipe.output / BEST


def detector_network(model: str, start_from: str | None) -> PoseNetwork:
    """A network with a detector's five maps; all but its last layers are those of `start_from`, or of chance."""
    network = create_model(model, num_joints=len(PERSON_BOX))
    for head in (module for module in network.modules() if isinstance(module, HeatmapHead)):
        torch.nn.init.constant_(head.predict.norm.bias[:1], math.log(FIRST_SCORE / (1 - FIRST_SCORE)))
    if start_from is not None:
        other, _ = load_model(start_from)
        wanted = network.state_dict()
        shared = {key: value for key, value in other.state_dict().items() if value.shape == wanted[key].shape}
        network.load_state_dict(shared, strict=False)
    return network.train()


class BoxTraining(LightningModule):
    """Crops, targets and loss around a network."""

    def __init__(
        self, network: PoseNetwork, recipe: DetectorRecipe, pictures: ResidentPictures | None = None
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.recipe = recipe
        self.loss_of = loss_by(recipe.compute.step, self.network, self._loss_of)
        self.card = detector_card(recipe)
        self.loss = BoxLoss(recipe.box_weight)
        self.pictures = pictures

    def training_step(self, batch: BoxBatch | BoxPlanBatch) -> Tensor:
        size, corners, present = self.recipe.input_size, batch["corners"], batch["present"]
        targets = encode_boxes(corners, present, size)
        unlabelled = torch.where(batch["complete"], 1.0, self.recipe.unlabelled)
        background = background_of(corners, present, batch["ignored"], unlabelled, size)
        shown = {name: tensor for name, tensor in batch.items() if name not in BoxLabels.__annotations__}
        loss = self.loss_of(shown, targets, background)
        self.log("train/loss", loss)
        return loss

    def _loss_of(self, shown: dict[str, Tensor], targets: BoxTargets, background: Tensor) -> Tensor:
        """All that is captured. Not the targets: how many people there are changes with every batch."""
        crops = self.card.normalise(self._cut(shown)).contiguous(memory_format=torch.channels_last)
        (levels,) = self.network.heatmaps(crops)  # detectors have one stage
        return self.loss(levels, targets, background)

    def _cut(self, shown: dict[str, Tensor]) -> Tensor:
        """(N, 3, H, W) uint8 RGB; cut here, where the pictures are on the device."""
        if self.pictures is None:
            return shown["image"]
        return cut_quarters(self.pictures, cast(Cuts, shown), self.recipe.input_size)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The recipe's optimizer, and a learning rate that changes with every step."""
        optimizer = build_optimizer(self.network, self.recipe.optimisation)
        schedule = build_schedule(optimizer, self.recipe.optimisation)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the recipe's learning rate, which may be another than before."""
        use_learning_rate(checkpoint, self.recipe.optimisation)


class BoxValidation(Callback):
    """After every round: AP on the validation set's complete pictures, last.safetensors, best.safetensors."""

    def __init__(self, recipe: DetectorRecipe, averaged: AveragedWeights | None) -> None:
        self.recipe = recipe
        self.annotations = read_json(recipe.validation.annotations)  # once, not in every round
        complete_images(self.annotations)  # what keeps it from being validated is said now
        self.card = detector_card(recipe)
        self.averaged = averaged
        self.best = -math.inf

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trained = pl_module.network
        assert isinstance(trained, PoseNetwork)
        network = self.averaged.network if self.averaged else trained
        detector = StarterDetector(
            network, self.card, device=str(pl_module.device), box_threshold=BOX_THRESHOLD
        )
        scores = measure_detector(detector, self.annotations, self.recipe.validation.images)
        pl_module.log_dict({"validation/ap": scores.ap, "validation/ap50": scores.ap50})
        figures = {"AP": round(scores.ap, 4), "AP50": round(scores.ap50, 4)}
        card = replace(self.card, steps=trainer.global_step, figures=figures)
        save_weights(self.recipe.output / LAST, network, card)
        if scores.ap50 >= self.best:  # of equal ones the longest trained
            save_weights(self.recipe.output / BEST, network, card)
        self.best = max(self.best, scores.ap50)
        loss = float(trainer.callback_metrics["train/loss"])
        print(
            f"step {trainer.global_step}: loss {loss:.3f}, AP {scores.ap:.3f}, AP50 {scores.ap50:.3f}",
            flush=True,
        )


def detector_card(recipe: DetectorRecipe) -> Card:
    """What belongs to the weights of a run: whole images, five maps, how they are looked at."""
    side = max(recipe.detector.image_sizes)
    return Card(
        model=recipe.model,
        skeleton=PERSON_BOX,
        input_size=(side, side),
        extension=(1.0, 1.0),
        detector=recipe.detector,
        trained_on=recipe.trained_on,
        license=recipe.license,
    )


def _images(recipe: DetectorRecipe) -> list[BoxedImage]:
    images = [image for source in recipe.train for image in read_boxed(source.annotations, source.images)]
    return [image for image in images for _ in range(recipe.repeat_complete if image.complete else 1)]


def _resident(images: Sequence[BoxedImage], trainer: Trainer) -> ResidentPictures:
    paths = [image.path for image in images]
    return ResidentPictures(paths, trainer.strategy.root_device, levels=len(SHRINKS))


def _loader(
    recipe: DetectorRecipe, images: Sequence[BoxedImage], share: Share, pictures: ResidentPictures | None
) -> DataLoader[Any]:
    workers, seed = recipe.compute.workers, recipe.seed
    crops: Dataset[Any]
    if pictures is None:
        crops = BoxCrops(images, recipe.input_size, recipe.framing, seed=seed)
    else:
        crops = BoxPlans(images, recipe.input_size, recipe.framing, pictures.numbers, seed=seed)
    return DataLoader(
        crops,
        batch_sampler=ShuffledBatches(
            len(images),
            recipe.optimisation.batch_size,
            recipe.validate_every,
            seed=seed,
            share=share,
        ),
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
