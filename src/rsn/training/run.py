"""A recipe from start to finish: data, network, loop, logs and checkpoints."""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import cv2
import torch
from lightning import Trainer, seed_everything
from torch import nn
from torch.utils.data import DataLoader, Dataset

from rsn.datasets.coinciding import coinciding
from rsn.datasets.labelled import PoseDataset
from rsn.datasets.loading import Share, ShuffledBatches, TrainingCrops
from rsn.datasets.opening import check_images
from rsn.datasets.reading import read_people_file
from rsn.datasets.resident import CropPlans, ResidentPictures
from rsn.errors import RecipeError, RsnWarning
from rsn.networks.card import Card
from rsn.networks.catalog import create_model
from rsn.networks.network import PoseNetwork
from rsn.networks.weights import load_weights
from rsn.processes import Processes
from rsn.skeletons import Skeleton, matches_in_words
from rsn.training.averaging import AveragedWeights
from rsn.training.callbacks import Progress, Validation
from rsn.training.folder import BEST, open_folder
from rsn.training.health import NAMED_AT_MOST, FiniteLoss, UnreadableImages, check_batch_norms
from rsn.training.loop import build_trainer, check_step, fit, share_of
from rsn.training.module import PoseTraining, set_head_gain
from rsn.training.recipe import Recipe, Source
from rsn.training.report import write_run_report

LOG_EVERY = 20  # batches
OPENED_BEFORE = 1000  # images of each set to train on; enough to meet a share of 1 % that cannot be read


def train(recipe: Recipe, *, resume: bool = False) -> Path:
    """Train, and leave logs, weights and the resumable state in the recipe's output folder.

    The folder then explains itself: report.md with curves.png and samples.jpg, recipe.yaml and environment.json as it
    ran, best.safetensors (highest validation AP or PCKh), last.safetensors, last.ckpt and previous.ckpt to resume from,
    and logs/version_N with metrics.csv and TensorBoard events.

    Called in each of several processes that torchrun or srun started, it trains in all of them together.

    Returns:
        The path of best.safetensors.

    Raises:
        RecipeError: the folder holds another run, or `resume` was not asked for, or the other way round; a batch
            that cannot be divided among the processes, or of which a batch norm would see one value a channel.
        AnnotationError, WeightsError: what the recipe points at cannot be used.
        TrainingError: the loss is no number any more, too many pictures cannot be read, or the run was stopped
            (Ctrl-C, SIGTERM).
        RsnError: the processes do not find each other, or another has stopped.
    """
    processes = Processes.launched()
    if idle := processes.left_out():
        warnings.warn(
            f"SLURM gave this job {processes.count + idle} tasks, and {processes.count} of them train; start with srun",
            RsnWarning,
            stacklevel=2,
        )
    share = share_of(processes, recipe.optimisation.batch_size, recipe.compute.accumulate)
    check_step(recipe.compute.step, processes)
    if recipe.norm == "all" and not torch.cuda.is_available():
        raise RecipeError("Invalid norm: all needs CUDA GPUs, and PyTorch finds none; use norm: each")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # its notices and hints are not about
    warnings.filterwarnings("ignore", module="lightning")  # this run, and would bury what is
    seed_everything(recipe.seed, verbose=False)
    validation = read_people(recipe.validation)
    if not len(validation):
        raise RecipeError(f"nobody to validate with is left: {validation.summary()}")
    check_images((person.image for person in validation.people), str(recipe.validation.annotations))
    sets = training_sets(recipe, validation.skeleton)
    people = joined_people(sets)
    for part in sets:
        files = (person.image for person in part.people.people)
        annotations = str(part.source.annotations)
        check_images(files, annotations, allowed=recipe.most_unreadable, sample=OPENED_BEFORE)
    card = _card(recipe, validation)
    network = _network(recipe, card, _seen_together(recipe, processes))
    state = open_folder(recipe, processes, resume=resume)
    if processes.rank == 0:
        _tell_of_coinciding_images(validation, people)
    averaged = AveragedWeights(network, recipe.optimisation.average) if recipe.optimisation.average else None
    every = min(LOG_EVERY, recipe.validate_every)
    callbacks = [
        *([averaged] if averaged else []),  # before what looks at it
        FiniteLoss(every),  # before anything is written
        Validation(recipe, validation, card, averaged),
        Progress(recipe, every, *_headlines(sets, people, validation)),
    ]
    unreadable = UnreadableImages(people, recipe.most_unreadable)
    settings = recipe.optimisation
    trainer = build_trainer(
        recipe.output,
        settings.steps // recipe.validate_every,
        recipe.compute,
        callbacks,
        processes,
        log_every=every,
    )
    pictures = _resident(people, trainer) if recipe.compute.images == "device" else None
    module = PoseTraining(network, card, recipe, unreadable, pictures)
    fit(trainer, module, _loader(recipe, people, share, pictures), state, steps=settings.steps)
    unreadable.tell()
    if processes.rank == 0:
        write_run_report(recipe.output)
    return recipe.output / BEST


def read_people(source: Source) -> PoseDataset:
    """The people of a set whose joints are known and whose boxes are high enough."""
    people = read_people_file(
        source.annotations, source.images, skeleton=source.skeleton, head_sizes=source.head_sizes
    )
    return people.with_joints(min_box_height=source.min_box_height)


def training_people(recipe: Recipe, skeleton: Skeleton) -> PoseDataset:
    """Everybody that a recipe trains on, as one set with the joints of `skeleton`.

    Raises:
        RecipeError: nobody is left. AnnotationError: a set cannot be read, or has none of these joints.
    """
    return joined_people(training_sets(recipe, skeleton))


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """The people of a set, with the joints of the validation set; matched: how its own joints were, in words."""

    source: Source
    people: PoseDataset
    matched: str

    def summary(self) -> str:
        """One line."""
        return f"{self.source.annotations}: {len(self.people)} people; {self.matched}"


def training_sets(recipe: Recipe, skeleton: Skeleton) -> list[TrainingSet]:
    """The sets that a recipe trains on, with the joints of `skeleton`; raises what `training_people` does."""
    sets = []
    for source in recipe.train:
        people = read_people(source)
        matched = matches_in_words(people.skeleton, skeleton)
        sets.append(TrainingSet(source, people.mapped_to(skeleton), matched))
    return sets


def joined_people(sets: Sequence[TrainingSet]) -> PoseDataset:
    """The people of several sets as one; raises what `training_people` does."""
    people = reduce(PoseDataset.joined, (part.people for part in sets))
    if not len(people):
        raise RecipeError(f"nobody to train on is left: {people.summary()}")
    return people


def _headlines(sets: Sequence[TrainingSet], people: PoseDataset, validation: PoseDataset) -> list[str]:
    """What is trained on; of several sets each, as is one of other joints than the validation set."""
    told = len(sets) > 1 or ";" in sets[0].matched
    return [
        f"training   {people.summary()}",
        *(f"           {part.summary()}" for part in sets if told),
        f"validation {validation.summary()}",
    ]


def _card(recipe: Recipe, validation: PoseDataset) -> Card:
    return Card(
        model=recipe.model,
        refine=recipe.refine,
        skeleton=validation.skeleton,
        input_size=recipe.input_size,
        extension=recipe.extension,
        decoder=recipe.decoder,
        blur=recipe.blur,
        trained_on=recipe.trained_on,
        license=recipe.license,
    )


def _seen_together(recipe: Recipe, processes: Processes) -> int:
    """How many crops a batch norm takes its statistics of."""
    apart = 1 if recipe.norm == "all" else processes.count
    return recipe.optimisation.batch_size // (recipe.compute.accumulate * apart)


def _tell_of_coinciding_images(validation: PoseDataset, people: PoseDataset) -> None:
    images, trained_on = ({person.image.path for person in those.people} for those in (validation, people))
    both = coinciding(images, trained_on)
    if both:
        named = ", ".join(path.name for path in both[:NAMED_AT_MOST])
        more = ", ..." if len(both) > NAMED_AT_MOST else ""
        warnings.warn(
            f"{len(both)} of the {len(images)} images to validate with are trained on too, so that the metric will be"
            f" too high: {named}{more}",
            RsnWarning,
            stacklevel=3,
        )


def _network(recipe: Recipe, card: Card, seen_together: int) -> PoseNetwork:
    network = create_model(recipe.model, num_joints=len(card.skeleton), refine=recipe.refine)
    set_head_gain(network, recipe.head_gain)
    if recipe.start_from is not None:
        load_weights(network, recipe.start_from)
    check_batch_norms(network, seen_together, recipe.input_size)
    if recipe.norm == "all":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    if recipe.compute.recompute:
        network.recompute_blocks()
    return network


def _resident(people: PoseDataset, trainer: Trainer) -> ResidentPictures:
    return ResidentPictures([person.image.path for person in people.people], trainer.strategy.root_device)


def _loader(
    recipe: Recipe, people: PoseDataset, share: Share, pictures: ResidentPictures | None
) -> DataLoader[Any]:
    crops: Dataset[Any]
    if pictures is None:
        crops = TrainingCrops(people, recipe.input_size, recipe.augmentation, seed=recipe.seed)
    else:
        crops = CropPlans(people, recipe.input_size, recipe.augmentation, pictures.numbers, seed=recipe.seed)
    batch_size, seed = recipe.optimisation.batch_size, recipe.seed
    workers = recipe.compute.workers
    return DataLoader(
        crops,
        batch_sampler=ShuffledBatches(len(people), batch_size, recipe.validate_every, seed=seed, share=share),
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=_one_thread,
        pin_memory=torch.cuda.is_available(),
    )


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)  # workers are the parallelism
