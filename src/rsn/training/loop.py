"""The trainer of pose networks and person detectors: Lightning, whose epochs end in a validation and a checkpoint."""

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import torch
from lightning import Callback, Trainer, seed_everything
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from torch import nn
from torch.utils.data import DataLoader, Dataset

from rsn.data.device_images import DeviceImages
from rsn.data.loading import Shard, ShuffledBatches
from rsn.distributed import DistributedInfo, distributed_errors
from rsn.errors import RecipeError, RsnWarning, TrainingError
from rsn.training.callbacks import AveragedWeights, Progress, Validation
from rsn.training.checkpoints import LAST_CHECKPOINT, RotatingCheckpointIO, last_checkpoint
from rsn.training.folder import BEST, LOGS, open_folder
from rsn.training.health import NanGuard, check_network
from rsn.training.module import Task, TrainingModule
from rsn.training.optimization import build_optimizer
from rsn.training.precision import resolve_precision
from rsn.training.recipe import BaseRecipe
from rsn.training.stages import StageChange

LOG_INTERVAL = 20  # batches


def run_task(
    recipe: BaseRecipe,
    build_task: Callable[[], Task],
    *,
    resume: bool,
    callbacks: Sequence[Callback] = (),
    logger: Logger | None = None,
) -> Path:
    """Train in this process, or in all that torchrun or srun started; returns the path of best.safetensors.

    Args:
        recipe: the settings.
        build_task: called once the settings are known to work on this machine.
        resume: continue from the last checkpoint in the output folder.
        callbacks: called after rsn's own. logger: replaces the CSV file and TensorBoard's.

    Raises:
        RecipeError, TrainingError, RsnError: as `rsn.train`.
    """
    processes = DistributedInfo.from_environment()
    if idle := processes.idle_tasks():
        warnings.warn(
            f"only {processes.count} of the {processes.count + idle} tasks of the SLURM job are used; start with srun",
            RsnWarning,
            stacklevel=3,
        )
    compute, steps, intervals = recipe.compute, recipe.optimization.steps, recipe.intervals()
    share = _share_of_batch(recipe, processes)
    if compute.step == "captured" and (processes.count > 1 or not torch.cuda.is_available()):
        raise RecipeError("Invalid compute.step: captured needs one CUDA GPU and one process; use compute.step: eager")
    with _quiet_lightning():
        seed_everything(recipe.seed, verbose=False)
        precision = resolve_precision(compute.precision)
        task = build_task()
        _check_task(task, recipe, processes)
        checkpoint = open_folder(recipe, processes, resume=resume)
        averaged = AveragedWeights(recipe.optimization.ema_decay) if recipe.optimization.ema_decay else None
        validation = Validation(recipe.output, task, averaged)
        headlines = (*task.headlines, f"precision  {precision}")
        interval = min(LOG_INTERVAL, recipe.val_interval)
        all_callbacks = [
            *([averaged] if averaged else []),  # before what reads the average
            NanGuard(interval),  # before anything is written
            *task.callbacks,
            StageChange(intervals, task.rescale, averaged),
            validation,
            Progress(intervals, recipe.val_interval, interval, validation, headlines),
            *callbacks,
        ]
        trainer = _build_trainer(recipe, precision, all_callbacks, processes, logger, interval)
        images = None
        if compute.cache_images == "device":
            images = DeviceImages(task.paths, trainer.strategy.root_device, levels=task.levels)
        dataset = task.dataset(images.indices if images else None)
        loader = _build_loader(dataset, task, recipe, share)
        try:
            with distributed_errors():
                trainer.fit(TrainingModule(task, recipe, images), loader, ckpt_path=checkpoint, weights_only=True)
        except SystemExit as stopped:  # Lightning's way to end after SIGTERM and Ctrl-C
            advice = "continue from the last validation with --resume"
            if last_checkpoint(recipe.output) is None:
                advice = "there is no checkpoint yet, so start again"
            raise TrainingError(f"stopped at step {trainer.global_step} of {steps}; {advice}") from stopped
    return recipe.output / BEST


def _share_of_batch(recipe: BaseRecipe, processes: DistributedInfo) -> Shard:
    """What this process takes of every batch."""
    parts = recipe.compute.accumulate_grad_batches
    for batch_size in {interval.batch_size for interval in recipe.intervals()}:
        if batch_size % (processes.count * parts):
            raise RecipeError(
                f"Invalid batch_size: expected a multiple of {processes.count} processes x {parts} parts"
                f" (compute.accumulate_grad_batches), got {batch_size}"
            )
    return Shard(processes.rank, processes.count, parts)


def _check_task(task: Task, recipe: BaseRecipe, processes: DistributedInfo) -> None:
    """Check the network and its optimizer, and prepare it for activation checkpointing."""
    build_optimizer(task.network, recipe.optimization)  # raises before the output folder is made
    synchronized = any(isinstance(module, nn.SyncBatchNorm) for module in task.network.modules())
    shares = recipe.compute.accumulate_grad_batches * (1 if synchronized else processes.count)
    expected = task.metadata.num_outputs
    for interval in dict.fromkeys(recipe.intervals()):
        outputs = check_network(task.network, interval.batch_size // shares, interval.size)
        if outputs is not None and outputs[1:2] != (expected,):
            raise RecipeError(f"Invalid network: expected an output of {expected} maps, got shape {list(outputs)}")
    if recipe.compute.activation_checkpointing:
        checkpoint_activations = getattr(task.network, "checkpoint_activations", None)
        if checkpoint_activations is None:
            raise RecipeError(
                f"Invalid compute.activation_checkpointing: expected false, since {type(task.network).__name__} has no"
                " checkpoint_activations method, got true"
            )
        checkpoint_activations()


def _build_trainer(
    recipe: BaseRecipe,
    precision: Any,
    callbacks: Sequence[Callback],
    processes: DistributedInfo,
    logger: Logger | None,
    log_interval: int,
) -> Trainer:
    """A trainer for a run. An epoch of Lightning is a validation interval of ours, with a checkpoint at its end.

    Epochs are counted: if Lightning counts steps, it resumes inside the epoch that the checkpoint ended.
    """
    folder, compute = recipe.output, recipe.compute
    checkpoints = ModelCheckpoint(
        dirpath=folder,
        filename=Path(LAST_CHECKPOINT).stem,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    table = CSVLogger(folder, name=LOGS)  # a resumed run continues in version_1, version_2, ...
    return Trainer(
        max_epochs=recipe.optimization.steps // recipe.val_interval,
        precision=precision,
        accumulate_grad_batches=compute.accumulate_grad_batches,
        devices=processes.processes_per_host,
        num_nodes=processes.hosts,
        # As in the reference, each process has its own batch norm statistics in training.
        strategy=DDPStrategy(broadcast_buffers=False) if processes.count > 1 else "auto",
        callbacks=[*callbacks, checkpoints],
        plugins=[RotatingCheckpointIO(), _cluster_environment(processes)],
        logger=logger or [table, TensorBoardLogger(folder, name=LOGS, version=table.version)],
        log_every_n_steps=log_interval,
        use_distributed_sampler=False,  # ShuffledBatches has the shares of the processes
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _build_loader(dataset: Dataset[Any], task: Task, recipe: BaseRecipe, share: Shard) -> DataLoader[Any]:
    workers = recipe.compute.workers
    weights = task.weights or [1.0] * len(dataset)  # type: ignore[arg-type]
    batches = ShuffledBatches(weights, recipe.intervals(), recipe.val_interval, seed=recipe.seed, shard=share)
    return DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=task.collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=_use_one_thread,
        pin_memory=torch.cuda.is_available(),
    )


def _use_one_thread(worker: int) -> None:
    cv2.setNumThreads(0)  # the workers themselves run in parallel


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Hide Lightning's general hints, so that messages about the run are seen."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            # PyTorch captures steps on a stream of its own, and waits for it where necessary.
            warnings.filterwarnings("ignore", "The AccumulateGrad node's stream does not match")
            yield
    finally:
        log.setLevel(level)


def _cluster_environment(processes: DistributedInfo) -> ClusterEnvironment:
    """How the processes find each other; otherwise Lightning would guess again who started them."""
    if processes.count == 1:
        return LightningEnvironment()
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    # Lightning requires it, but srun sets it only with --ntasks-per-node.
    os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(processes.processes_per_host))
    return SLURMEnvironment(auto_requeue=False)  # requeuing would start the job again without --resume
