"""Training of a pose network."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial, reduce
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from lightning import Callback
from lightning.pytorch.loggers import Logger
from torch import Tensor, nn
from torch.utils.data import Dataset

from rsn.codecs import Codec
from rsn.data.annotations import PoseDataset
from rsn.data.checks import check_images, find_duplicate_images
from rsn.data.device_images import DeviceImages
from rsn.data.loading import Batch, CropDataset, SampleIndex
from rsn.distributed import gather, is_main_process, shard
from rsn.errors import RecipeError, RsnWarning
from rsn.evaluation.labeled import mean_oks
from rsn.evaluation.prediction import labeled_boxes, predict_poses
from rsn.inference.estimator import PoseEstimator
from rsn.models.catalog import build_model
from rsn.skeletons import Skeleton, describe_match
from rsn.training.health import MAX_LISTED, UnreadableImages
from rsn.training.loop import run_task
from rsn.training.module import Predictions, Task, ValidationResult, set_head_gain
from rsn.training.parts import freeze_modules
from rsn.training.recipe import DatasetConfig, Recipe
from rsn.training.report import write_run_report
from rsn.training.samples import write_row, write_samples
from rsn.weights.loading import PoseModel
from rsn.weights.metadata import ModelMetadata, WeightsMetadata
from rsn.weights.transfer import rescale_heads, transfer_weights

IMAGES_CHECKED = 1000  # of each training set, before the first step; enough to notice that 1 % cannot be read
Loss = Callable[[Predictions, Any, Tensor], Tensor]


def train(
    recipe: Recipe,
    *,
    network: nn.Module | None = None,
    dataset: PoseDataset | Dataset[Batch] | None = None,
    loss: Loss | None = None,
    callbacks: Sequence[Callback] = (),
    logger: Logger | None = None,
    resume: bool = False,
) -> Path:
    """Train a pose network; logs, weights and checkpoints are written to the recipe's output folder.

    The folder has report.md with curves.png and samples.jpg, recipe.yaml, environment.json, best.safetensors (highest
    validation AP, PCKh or PCK), last.safetensors, last.ckpt and previous.ckpt to resume from, and logs/version_N with
    metrics.csv and TensorBoard events.

    In each of several processes that torchrun or srun started, it trains in all of them together.

    Args:
        recipe: the settings. To resume, pass the same other arguments again.
        network: replaces the network that the recipe describes: normalized crops (N, 3, H, W) -> what the recipe's
            codec decodes. If it has a method `heatmaps`, the loss gets what that returns, else `[[network(crops)]]`.
            To open the weights afterwards, register its builder with `rsn.register_model` as the recipe's `model`.
        dataset: replaces the training sets of the recipe: a `PoseDataset`, whose keypoints are matched with those of
            the validation set by name, or any `torch.utils.data.Dataset` with indices from 0, whose samples are
            dictionaries of image (3, H, W) uint8 RGB, keypoints (K, 2) float32 x, y in pixels of the crop, and
            visibility (K,): 2 visible, 1 occluded, 0 absent, -1 not annotated.
        loss: replaces the loss of the recipe: loss(predictions, targets, visibility) -> scalar, see `PoseLoss.terms`.
        callbacks: Lightning callbacks, called after rsn's own.
        logger: replaces the CSV file and the TensorBoard events; report.md, which needs them, is not written.
        resume: continue from the last checkpoint in the output folder.

    Returns:
        The path of best.safetensors.

    Raises:
        RecipeError: the folder holds another run, `resume` does not fit what it holds, or settings do not work with
            the data, the network or this machine.
        AnnotationError, WeightsError: files that the recipe names cannot be used.
        TrainingError: the loss is not finite, too many images cannot be read, or the run was stopped (Ctrl-C, SIGTERM).
        RsnError: the processes cannot connect, or another one has stopped.
    """
    build_task = partial(_build_task, recipe, network, dataset, loss or recipe.loss)
    best = run_task(recipe, build_task, resume=resume, callbacks=callbacks, logger=logger)
    if logger is None and is_main_process():
        write_run_report(recipe.output)
    return best


def _build_task(
    recipe: Recipe, network: nn.Module | None, dataset: PoseDataset | Dataset[Batch] | None, loss: Loss
) -> Task:
    if recipe.sync_batchnorm and not torch.cuda.is_available():
        raise RecipeError("Invalid sync_batchnorm: expected false, as PyTorch finds no CUDA GPU, got true")
    validation = read_people(recipe.validation)
    if not len(validation):
        raise RecipeError(f"no person is left to validate with: {validation.summary()}")
    check_images((person.image for person in validation.people), str(recipe.validation.annotations))
    if recipe.stages and dataset is not None and not isinstance(dataset, PoseDataset):
        raise RecipeError("Invalid stages: expected none for a dataset of your own, whose crops have one size")
    metadata = ModelMetadata(
        model=recipe.model,
        options=recipe.model_options | ({} if recipe.refine == "none" else {"refine": recipe.refine}),
        skeleton=validation.skeleton,
        input_size=recipe.input_size,
        bbox_padding=recipe.bbox_padding,
        codec=recipe.codec,
        trained_on=recipe.trained_on,
        license=recipe.license,
    )
    validate = PoseValidation(recipe.validation, validation)
    started = replace(metadata, input_size=recipe.intervals()[0].size)  # what the network is first trained with
    headlines = [f"validation {validation.summary()}"]
    if network is None:
        network = build_model(metadata.model, metadata.num_outputs, **metadata.options)
        set_head_gain(network, recipe.head_bn_gamma)
        if recipe.pretrained is not None:
            headlines += transfer_weights(network, started, recipe.pretrained).summary().splitlines()
    freeze_modules(network, recipe.freeze)
    if recipe.sync_batchnorm:
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    encode = partial(encode_keypoints, recipe.codec)
    task = partial(
        Task,
        network,
        metadata,
        encode=encode,
        loss=loss,
        crop=DeviceImages.crop,
        validate=validate,
        rescale=rescale_heads,
    )
    if dataset is not None and not isinstance(dataset, PoseDataset):
        if recipe.compute.cache_images != "none":
            raise RecipeError("Invalid compute.cache_images: expected none for a dataset of your own")
        own = _OwnDataset(dataset)
        return task(dataset=lambda _: own, headlines=(f"training   {len(own)} samples", *headlines))
    if dataset is None:
        people, summaries = read_training_sets(recipe, validation.skeleton, check=True)
    else:
        people, summaries = dataset.remap(validation.skeleton), []
    if is_main_process():
        _warn_of_shared_images(validation, people)
    unreadable = UnreadableImages(people, recipe.max_unreadable_fraction)
    return task(
        dataset=partial(CropDataset, people, recipe.input_size, recipe.augmentation, seed=recipe.seed),
        paths=[person.image.path for person in people.people],
        weights=[person.sampling_weight for person in people.people],
        inspect=unreadable.add,
        callbacks=(unreadable,),
        headlines=(
            f"training   {people.summary()}",
            *(f"           {line}" for line in summaries),
            *headlines,
        ),
    )


class _OwnDataset(Dataset[Batch]):
    """A dataset of the user, which is indexed by integers."""

    def __init__(self, dataset: Dataset[Batch]) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: SampleIndex) -> Batch:
        return self.dataset[index.index]


def encode_keypoints(codec: Codec, batch: Batch, input_size: tuple[int, int]) -> tuple[Any, Tensor]:
    """The targets of a batch and its visibility, what a loss gets after the predictions."""
    return codec.encode(batch["keypoints"], batch["visibility"], input_size), batch["visibility"]


class PoseValidation:
    """Computes the metric of the validation set, and mean OKS, on labeled boxes; several processes share the images.

    Raises:
        AnnotationError: people have no head sizes (MPII), or OKS sigmas are unknown.
    """

    def __init__(self, source: DatasetConfig, people: PoseDataset) -> None:
        self.people = people.people
        self.data = source.benchmark.read(source.annotations, None, source.options, people.skeleton, groups=False)
        self.boxes = labeled_boxes(people)

    def __call__(self, network: nn.Module, metadata: WeightsMetadata, device: str) -> ValidationResult:
        """Predict poses, and compare them with the labels."""
        assert isinstance(metadata, ModelMetadata)
        estimator = PoseEstimator(PoseModel(network, metadata), device=device)
        own = predict_poses(estimator, shard(self.boxes), category_id=self.data.category_id)
        poses = list(chain.from_iterable(gather(list(own))))  # in the order of the images
        metrics, skeleton = self.data.evaluate(poses).metrics, self.data.skeleton
        others = {} if skeleton.sigmas is None else {"mean_oks": mean_oks(self.people, poses, skeleton)}
        name, headline = metrics.headline
        stored = {f"validation_{name}": round(headline, 4)}
        return ValidationResult(
            asdict(metrics) | others | {name: headline},
            name,
            stored,
            draw=partial(write_samples, images=self.boxes, results=poses, skeleton=skeleton),
            draw_row=partial(write_row, people=self.people, results=poses, skeleton=skeleton),
        )


def read_people(source: DatasetConfig) -> PoseDataset:
    """The people of a dataset that have keypoints and high enough boxes."""
    return source.read_labels().filter_valid(min_box_height=source.min_box_height)


def read_training_sets(recipe: Recipe, skeleton: Skeleton, *, check: bool = False) -> tuple[PoseDataset, list[str]]:
    """The training sets of a recipe as one dataset with the keypoints of `skeleton`, and a line about each.

    check: open images before they are needed.

    Raises:
        RecipeError: there are no sets, or no people in them.
        AnnotationError: a set cannot be read, has none of these keypoints, or has too many unreadable images.
    """
    if not recipe.train:
        raise RecipeError("Invalid train: expected at least one set, got none; add its annotations and images")
    sets, summaries = [], []
    for source in recipe.train:
        people = read_people(source)
        match = describe_match(people.skeleton, skeleton)
        sets.append(people.remap(skeleton).with_sampling_weight(source.sampling_weight))
        summaries.append(f"{source.annotations}: {len(people)} people; {match}")
    people = reduce(PoseDataset.concat, sets)
    if not len(people):
        raise RecipeError(f"no person is left to train on: {people.summary()}")
    for source, part in zip(recipe.train, sets, strict=True) if check else ():
        images = (person.image for person in part.people)
        allowed = recipe.max_unreadable_fraction
        check_images(images, str(source.annotations), allowed=allowed, sample=IMAGES_CHECKED)
    return people, summaries


def _warn_of_shared_images(validation: PoseDataset, people: PoseDataset) -> None:
    images, trained_on = ({person.image.path for person in part.people} for part in (validation, people))
    shared = find_duplicate_images(images, trained_on)
    if shared:
        names = ", ".join(path.name for path in shared[:MAX_LISTED])
        more = ", ..." if len(shared) > MAX_LISTED else ""
        warnings.warn(
            f"{len(shared)} of the {len(images)} validation images are trained on too, so the metrics will be too high:"
            f" {names}{more}",
            RsnWarning,
            stacklevel=3,
        )
