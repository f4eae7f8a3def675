"""The one trainer of pose networks and detectors: Lightning, with rounds that end in a checkpoint."""

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
from lightning import Callback, LightningModule, Trainer, seed_everything
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from torch.utils.data import DataLoader, Dataset

from rsn.data.device_images import DeviceImages
from rsn.data.loading import Shard, ShuffledBatches
from rsn.distributed import DistributedInfo, distributed_errors
from rsn.errors import RecipeError, RsnWarning, TrainingError
from rsn.models.network import PoseNetwork
from rsn.training.averaging import AveragedWeights
from rsn.training.callbacks import Measure, Progress, Validation
from rsn.training.checkpoints import STATE, TwoStates, folder_of, last_state
from rsn.training.folder import BEST, LOGS, open_folder
from rsn.training.health import NanGuard, check_batch_norms
from rsn.training.module import TrainingModule
from rsn.training.recipe import BaseRecipe
from rsn.weights.metadata import ModelMetadata

LOG_EVERY = 20  # batches


@dataclass(frozen=True)
class Task:
    """What is trained on what: all that differs between pose networks and detectors.

    metadata: of the weights that are written. dataset: the crops, which are read from files; given the numbers of
    the images that are kept on the device, the plans of crops instead. module: the steps, given these images.
    measure: validates a network. paths, levels: see `DeviceImages`. headlines: printed before the first step.
    """

    network: PoseNetwork
    metadata: ModelMetadata
    dataset: Callable[[dict[Path, int] | None], Dataset[Any]]
    module: Callable[[DeviceImages | None], TrainingModule]
    measure: Measure
    paths: Sequence[Path]
    levels: int = 1
    collate: Callable[[Any], Any] | None = None
    norms_see_all: bool = False
    headlines: Sequence[str] = ()


def run_task(
    recipe: BaseRecipe,
    task_of: Callable[[], Task],
    *,
    resume: bool,
    callbacks: Sequence[Callback] = (),
    logger: Logger | None = None,
) -> Path:
    """Train in this process, or in all that torchrun or srun started; returns the path of best.safetensors.

    Args:
        recipe: its settings.
        task_of: builds the task, once it is known that the settings can be used here.
        resume: go on from the last state in the output folder.
        callbacks: called after our own. logger: replaces the CSV table and TensorBoard's.

    Raises:
        RecipeError, TrainingError, RsnError: as `rsn.training.run.train`.
    """
    processes = DistributedInfo.from_environment()
    if idle := processes.idle_tasks():
        warnings.warn(
            f"SLURM gave this job {processes.count + idle} tasks, and {processes.count} of them train; start with srun",
            RsnWarning,
            stacklevel=3,
        )
    settings, compute = recipe.optimization, recipe.compute
    share = shard_for(processes, settings.batch_size, compute.accumulate_grad_batches)
    if compute.step == "captured" and (processes.count > 1 or not torch.cuda.is_available()):
        raise RecipeError("compute.step: captured needs one CUDA GPU in one process; use eager")
    with _quiet_lightning():
        seed_everything(recipe.seed, verbose=False)
        task = task_of()
        process_group = settings.batch_size // (
            compute.accumulate_grad_batches * (1 if task.norms_see_all else processes.count)
        )
        check_batch_norms(task.network, process_group, recipe.input_size)
        if compute.activation_checkpointing:
            task.network.checkpoint_activations()
        state = open_folder(recipe, processes, resume=resume)
        averaged = AveragedWeights(settings.ema_decay) if settings.ema_decay else None
        every = min(LOG_EVERY, recipe.val_interval)
        ours = [
            *([averaged] if averaged else []),  # before what looks at it
            NanGuard(every),  # before anything is written
            Validation(recipe.output, task.metadata, averaged, task.measure),
            Progress(recipe, every, *task.headlines),
        ]
        trainer = build_trainer(recipe, [*ours, *callbacks], processes, logger, log_every=every)
        images = None
        if compute.cache_images == "device":
            images = DeviceImages(task.paths, trainer.strategy.root_device, levels=task.levels)
        crops = _loader(recipe, task, task.dataset(images.numbers if images else None), share)
        fit(trainer, task.module(images), crops, state, steps=settings.steps)
    return recipe.output / BEST


def shard_for(processes: DistributedInfo, batch_size: int, parts: int) -> Shard:
    """What a process takes of every batch of so many crops, in so many parts.

    Raises:
        RecipeError: a batch cannot be divided evenly.
    """
    if batch_size % (processes.count * parts):
        raise RecipeError(
            f"optimization.batch_size: {batch_size} crops cannot be divided evenly among {processes.count} processes"
            f" that each take their share in {parts} parts (compute.accumulate_grad_batches)"
        )
    return Shard(processes.rank, processes.count, parts)


def build_trainer(
    recipe: BaseRecipe,
    callbacks: Sequence[Callback],
    processes: DistributedInfo,
    logger: Logger | None,
    *,
    log_every: int,
) -> Trainer:
    """A trainer for a run into its folder. A Lightning epoch is one of our rounds: a checkpoint is written at its end.

    Rounds are what is counted: where Lightning counts steps, it resumes inside the round that the checkpoint ended.
    """
    folder, compute = recipe.output, recipe.compute
    keep_state = ModelCheckpoint(
        dirpath=folder,
        filename=Path(STATE).stem,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    table = CSVLogger(folder, name=LOGS)  # a resumed run goes on in version_1, version_2, ...
    return Trainer(
        max_epochs=recipe.optimization.steps // recipe.val_interval,
        precision=compute.precision,
        accumulate_grad_batches=compute.accumulate_grad_batches,
        devices=processes.processes_per_host,
        num_nodes=processes.hosts,
        # As in the reference each process has statistics of its own while it trains.
        strategy=DDPStrategy(broadcast_buffers=False) if processes.count > 1 else "auto",
        callbacks=[*callbacks, keep_state],
        plugins=[TwoStates(), _environment(processes)],
        logger=logger or [table, TensorBoardLogger(folder, name=LOGS, version=table.version)],
        log_every_n_steps=log_every,
        use_distributed_sampler=False,  # ShuffledBatches knows its rounds and shares
        enable_progress_bar=False,  # ours has the whole run and the wait for data
        enable_model_summary=False,
    )


def fit(
    trainer: Trainer, module: LightningModule, crops: DataLoader[Any], state: Path | None, *, steps: int
) -> None:
    """Train up to so many steps, from a state where there is one.

    Raises:
        TrainingError: the run was stopped, where Lightning would leave as if all were done.
        RsnError: the processes do not find each other, or another has stopped.
    """
    try:
        with distributed_errors():
            trainer.fit(module, crops, ckpt_path=state, weights_only=True)
    except SystemExit as stopped:
        on = "--resume goes on from the last finished round"
        if last_state(folder_of(trainer)) is None:
            on = "no round was finished, so there is nothing to resume from; start again"
        raise TrainingError(f"stopped at step {trainer.global_step} of {steps}; {on}") from stopped


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Leave out Lightning's hints, which are not about this run, and would bury what is."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            # PyTorch records steps on a stream of its own, and waits for it where that is needed.
            warnings.filterwarnings("ignore", "The AccumulateGrad node's stream does not match")
            yield
    finally:
        log.setLevel(level)


def _loader(recipe: BaseRecipe, task: Task, crops: Dataset[Any], share: Shard) -> DataLoader[Any]:
    workers = recipe.compute.workers
    people, batch_size = len(crops), recipe.optimization.batch_size  # type: ignore[arg-type]
    return DataLoader(
        crops,
        batch_sampler=ShuffledBatches(people, batch_size, recipe.val_interval, seed=recipe.seed, share=share),
        collate_fn=task.collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=_one_thread,
        pin_memory=torch.cuda.is_available(),
    )


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)  # workers are the parallelism


def _environment(processes: DistributedInfo) -> ClusterEnvironment:
    """How the processes find each other, for Lightning, which would else guess a second time who started them."""
    if processes.count == 1:
        return LightningEnvironment()
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    # Lightning insists on it; srun sets it only where it was given --ntasks-per-node.
    os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(processes.processes_per_host))
    return SLURMEnvironment(auto_requeue=False)  # which would start the job again without --resume
