"""Training of a pose network, from a recipe."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path

import torch
from lightning import Callback
from lightning.pytorch.loggers import Logger
from torch import Tensor, nn

from rsn.data.annotations import PoseDataset
from rsn.data.image_checks import check_images, find_duplicate_images
from rsn.data.loading import CropDataset
from rsn.data.reading import read_people_file
from rsn.distributed import DistributedInfo
from rsn.errors import RecipeError, RsnWarning
from rsn.models.catalog import create_model
from rsn.models.network import PoseNetwork
from rsn.skeletons import Skeleton, matches_in_words
from rsn.training.callbacks import MeasurePoses
from rsn.training.health import NAMED_AT_MOST, UnreadableImages
from rsn.training.loop import Task, run_task
from rsn.training.module import Levels, PoseTraining, set_head_gain
from rsn.training.recipe import DatasetConfig, Recipe
from rsn.training.report import write_run_report
from rsn.weights.loading import load_weights
from rsn.weights.metadata import ModelMetadata

OPENED_BEFORE = 1000  # images of each set to train on; enough to meet a share of 1 % that cannot be read


def train(
    recipe: Recipe,
    *,
    resume: bool = False,
    network: PoseNetwork | None = None,
    dataset: PoseDataset | None = None,
    loss: Callable[[Levels, Tensor, Tensor], Tensor] | None = None,
    callbacks: Sequence[Callback] = (),
    logger: Logger | None = None,
) -> Path:
    """Train, and leave logs, weights and the resumable state in the recipe's output folder.

    The folder then explains itself: report.md with curves.png and samples.jpg, recipe.yaml and environment.json as it
    ran, best.safetensors (highest validation AP or PCKh), last.safetensors, last.ckpt and previous.ckpt to resume from,
    and logs/version_N with metrics.csv and TensorBoard events.

    Called in each of several processes that torchrun or srun started, it trains in all of them together.

    Args:
        recipe: the settings.
        resume: go on from the last state in the output folder. Pass the same replacements again.
        network: replaces the network that the recipe describes; with as many keypoints as the validation set. The
            weights file names `recipe.model`, which must build the same network for the file to open.
        dataset: replaces the people of `recipe.train`; its keypoints are matched with the validation set's by name.
        loss: replaces `recipe.loss`: loss(predictions, targets, visibility) -> scalar, with the arguments of
            `PoseLoss.terms`.
        callbacks: Lightning callbacks, called after those that validate and show progress.
        logger: replaces the CSV table and the TensorBoard events; report.md, which is made of them, is not written.

    Returns:
        The path of best.safetensors.

    Raises:
        RecipeError: the folder holds another run, or `resume` was not asked for, or the other way round; a batch
            that cannot be divided among the processes, or of which a batch norm would see one value a channel.
        AnnotationError, WeightsError: what the recipe points at cannot be used.
        TrainingError: the loss is no number any more, too many images cannot be read, or the run was stopped
            (Ctrl-C, SIGTERM).
        RsnError: the processes do not find each other, or another has stopped.
    """
    task_of = partial(_pose_task, recipe, network, dataset, loss)
    best = run_task(recipe, task_of, resume=resume, callbacks=callbacks, logger=logger)
    if logger is None and DistributedInfo.from_environment().rank == 0:
        write_run_report(recipe.output)
    return best


def _pose_task(
    recipe: Recipe,
    network: PoseNetwork | None,
    dataset: PoseDataset | None,
    loss: Callable[[Levels, Tensor, Tensor], Tensor] | None,
) -> Task:
    if recipe.sync_batchnorm and not torch.cuda.is_available():
        raise RecipeError("Invalid sync_batchnorm: expected false, as PyTorch finds no CUDA GPU, got true")
    validation = read_people(recipe.validation)
    if not len(validation):
        raise RecipeError(f"nobody to validate with is left: {validation.summary()}")
    check_images((person.image for person in validation.people), str(recipe.validation.annotations))
    sets = [] if dataset is not None else training_sets(recipe, validation.skeleton)
    people = dataset.remap(validation.skeleton) if dataset is not None else concat_people(sets)
    for part in sets:
        files = (person.image for person in part.people.people)
        annotations = str(part.source.annotations)
        check_images(files, annotations, allowed=recipe.max_unreadable_fraction, sample=OPENED_BEFORE)
    if DistributedInfo.from_environment().rank == 0:
        _tell_of_coinciding_images(validation, people)
    metadata = _metadata_of(recipe, validation)
    if network is None:
        network = _network(recipe, metadata)
    elif network.num_keypoints != len(metadata.skeleton):
        raise RecipeError(
            f"Invalid network: expected {len(metadata.skeleton)} keypoints, as the validation set has, got"
            f" {network.num_keypoints}; build it with that many"
        )
    if recipe.sync_batchnorm:
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    unreadable = UnreadableImages(people, recipe.max_unreadable_fraction)
    return Task(
        network,
        metadata,
        partial(CropDataset, people, recipe.input_size, recipe.augmentation, seed=recipe.seed),
        lambda images: PoseTraining(network, metadata, recipe, unreadable, images, loss),
        MeasurePoses(recipe.validation.annotations, validation, metadata),
        [person.image.path for person in people.people],
        norms_see_all=recipe.sync_batchnorm,
        headlines=_headlines(sets, people, validation),
    )


def read_people(source: DatasetConfig) -> PoseDataset:
    """The people of a set whose keypoints are known and whose boxes are high enough."""
    people = read_people_file(
        source.annotations, source.images, skeleton=source.skeleton, head_sizes=source.head_sizes
    )
    return people.filter_valid(min_box_height=source.min_box_height)


def training_people(recipe: Recipe, skeleton: Skeleton) -> PoseDataset:
    """Everybody that a recipe trains on, as one set with the keypoints of `skeleton`.

    Raises:
        RecipeError: nobody is left. AnnotationError: a set cannot be read, or has none of these keypoints.
    """
    return concat_people(training_sets(recipe, skeleton))


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """The people of a set, with the keypoints of the validation set; matched: how its own keypoints were, in words."""

    source: DatasetConfig
    people: PoseDataset
    matched: str

    def summary(self) -> str:
        """One line."""
        return f"{self.source.annotations}: {len(self.people)} people; {self.matched}"


def training_sets(recipe: Recipe, skeleton: Skeleton) -> list[TrainingSet]:
    """The sets that a recipe trains on, with the keypoints of `skeleton`; raises what `training_people` does."""
    sets = []
    for source in recipe.train:
        people = read_people(source)
        matched = matches_in_words(people.skeleton, skeleton)
        sets.append(TrainingSet(source, people.remap(skeleton), matched))
    return sets


def concat_people(sets: Sequence[TrainingSet]) -> PoseDataset:
    """The people of several sets as one; raises what `training_people` does."""
    if not sets:
        raise RecipeError(
            "Invalid train: expected at least one set, got none; add its annotations and images"
        )
    people = reduce(PoseDataset.concat, (part.people for part in sets))
    if not len(people):
        raise RecipeError(f"nobody to train on is left: {people.summary()}")
    return people


def _headlines(sets: Sequence[TrainingSet], people: PoseDataset, validation: PoseDataset) -> list[str]:
    """What is trained on; of several sets each, as is one of other keypoints than the validation set."""
    told = len(sets) > 1 or any(";" in part.matched for part in sets)
    return [
        f"training   {people.summary()}",
        *(f"           {part.summary()}" for part in sets if told),
        f"validation {validation.summary()}",
    ]


def _metadata_of(recipe: Recipe, validation: PoseDataset) -> ModelMetadata:
    return ModelMetadata(
        model=recipe.model,
        refine=recipe.refine,
        skeleton=validation.skeleton,
        input_size=recipe.input_size,
        bbox_padding=recipe.bbox_padding,
        codec=recipe.codec,
        trained_on=recipe.trained_on,
        license=recipe.license,
    )


def _tell_of_coinciding_images(validation: PoseDataset, people: PoseDataset) -> None:
    images, trained_on = ({person.image.path for person in those.people} for those in (validation, people))
    both = find_duplicate_images(images, trained_on)
    if both:
        named = ", ".join(path.name for path in both[:NAMED_AT_MOST])
        more = ", ..." if len(both) > NAMED_AT_MOST else ""
        warnings.warn(
            f"{len(both)} of the {len(images)} images to validate with are trained on too, so that the metric will be"
            f" too high: {named}{more}",
            RsnWarning,
            stacklevel=3,
        )


def _network(recipe: Recipe, metadata: ModelMetadata) -> PoseNetwork:
    network = create_model(recipe.model, num_keypoints=len(metadata.skeleton), refine=recipe.refine)
    set_head_gain(network, recipe.head_bn_gamma)
    if recipe.pretrained is not None:
        load_weights(network, recipe.pretrained)
    return network
