"""A recipe from start to finish: data, network, loop, logs and checkpoints."""

import logging
import warnings
from functools import reduce
from pathlib import Path

import cv2
import torch
from lightning import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from rsn.datasets.coco import read_coco
from rsn.datasets.labelled import PoseDataset
from rsn.datasets.loading import CropBatch, ShuffledBatches, TrainingCrops
from rsn.errors import RecipeError
from rsn.files import make_folder, write_atomically
from rsn.networks.card import Card
from rsn.networks.catalog import create_model
from rsn.networks.network import PoseNetwork
from rsn.networks.weights import load_weights
from rsn.skeleton_files import read_skeleton
from rsn.skeletons import Skeleton
from rsn.training.callbacks import Progress, Validation
from rsn.training.module import PoseTraining, set_head_gain
from rsn.training.recipe import Recipe, Source, write_recipe

STATE = "last.ckpt"
LOGS = "logs"


def train(recipe: Recipe, *, resume: bool = False) -> Path:
    """Train, and leave logs, weights and the resumable state in the recipe's output folder.

    The folder then holds recipe.yaml, best.safetensors (highest validation AP), last.safetensors, last.ckpt to
    resume from, and logs/version_N with metrics.csv and TensorBoard events.

    Returns:
        The path of best.safetensors.

    Raises:
        RecipeError: the folder holds a run and `resume` was not asked for, or the other way round.
        AnnotationError, WeightsError: what the recipe points at cannot be used.
    """
    state = _state_file(recipe, resume)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # its notices and hints are not about
    warnings.filterwarnings("ignore", module="lightning")  # this run, and would bury what is
    seed_everything(recipe.seed, verbose=False)
    validation = read_people(recipe.validation)
    if not len(validation):
        raise RecipeError(f"nobody to validate with is left: {validation.summary()}")
    people = training_people(recipe, validation.skeleton)
    card = _card(recipe, validation)
    make_folder(recipe.output)
    write_atomically(recipe.output / "recipe.yaml", write_recipe(recipe).encode())
    checks = Validation(recipe, validation, card)
    headlines = (f"training   {people.summary()}", f"validation {validation.summary()}")
    progress = Progress(recipe.optimisation.steps, *headlines)
    trainer = _trainer(recipe, [checks, progress])
    module = PoseTraining(_network(recipe, card), card, recipe)
    trainer.fit(module, _loader(recipe, people), ckpt_path=state, weights_only=True)
    return checks.best_weights


def _state_file(recipe: Recipe, resume: bool) -> Path | None:
    state = recipe.output / STATE
    if resume and not state.is_file():
        raise RecipeError(f"{state}: there is nothing to resume from; train without --resume")
    if not resume and state.is_file():
        raise RecipeError(
            f"{recipe.output} holds a run; go on with --resume, or give another folder: --set output="
        )
    return state if resume else None


def read_people(source: Source) -> PoseDataset:
    """The people of a set whose joints are known and whose boxes are high enough."""
    skeleton = read_skeleton(source.skeleton) if source.skeleton else None
    people = read_coco(source.annotations, source.images, skeleton)
    return people.with_joints(min_box_height=source.min_box_height)


def training_people(recipe: Recipe, skeleton: Skeleton) -> PoseDataset:
    """Everybody that a recipe trains on, as one set with the joints of `skeleton`.

    Raises:
        RecipeError: nobody is left. AnnotationError: a set cannot be read, or has none of these joints.
    """
    people = reduce(PoseDataset.joined, (read_people(source).mapped_to(skeleton) for source in recipe.train))
    if not len(people):
        raise RecipeError(f"nobody to train on is left: {people.summary()}")
    return people


def _card(recipe: Recipe, validation: PoseDataset) -> Card:
    return Card(
        model=recipe.model,
        skeleton=validation.skeleton,
        input_size=recipe.input_size,
        extension=recipe.extension,
        trained_on=recipe.trained_on,
        license=recipe.license,
    )


def _network(recipe: Recipe, card: Card) -> PoseNetwork:
    network = create_model(recipe.model, num_joints=len(card.skeleton))
    set_head_gain(network, recipe.head_gain)
    if recipe.start_from is not None:
        load_weights(network, recipe.start_from)
    return network


def _loader(recipe: Recipe, people: PoseDataset) -> DataLoader[CropBatch]:
    crops = TrainingCrops(people, recipe.input_size, recipe.augmentation, seed=recipe.seed)
    batches = ShuffledBatches(
        len(people), recipe.optimisation.batch_size, recipe.validate_every, seed=recipe.seed
    )
    return DataLoader(
        crops,
        batch_sampler=batches,
        num_workers=recipe.workers,
        persistent_workers=recipe.workers > 0,
        worker_init_fn=_one_thread,
        pin_memory=torch.cuda.is_available(),
    )


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)  # workers are the parallelism


def _trainer(recipe: Recipe, callbacks: list[Callback]) -> Trainer:
    """A Lightning epoch is one of our rounds: validation and a checkpoint at its end."""
    keep_state = ModelCheckpoint(
        dirpath=recipe.output,
        filename=Path(STATE).stem,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    table = CSVLogger(recipe.output, name=LOGS)  # a resumed run goes on in version_1, version_2, ...
    return Trainer(
        # Counted in epochs: where Lightning counts steps, it resumes inside the round that the checkpoint ended.
        max_epochs=recipe.optimisation.steps // recipe.validate_every,
        precision=recipe.precision,
        devices=1,
        callbacks=[*callbacks, keep_state],
        logger=[table, TensorBoardLogger(recipe.output, name=LOGS, version=table.version)],
        log_every_n_steps=min(20, recipe.validate_every),
        use_distributed_sampler=False,  # ShuffledBatches knows its rounds
        enable_progress_bar=False,  # ours has the whole run and the wait for data
        enable_model_summary=False,
    )
