"""Lightning, set up as all our runs want it: rounds that end in a checkpoint, and stops that are told."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from torch.utils.data import DataLoader

from rsn.datasets.loading import Share
from rsn.errors import RecipeError, TrainingError
from rsn.processes import Processes, one_of_several
from rsn.training.folder import LOGS
from rsn.training.recipe import Compute
from rsn.training.states import STATE, TwoStates, folder_of, last_state
from rsn.training.steps import Step


def share_of(processes: Processes, batch_size: int, parts: int) -> Share:
    """What a process takes of every batch of so many crops, in so many parts.

    Raises:
        RecipeError: a batch cannot be divided evenly.
    """
    if batch_size % (processes.count * parts):
        raise RecipeError(
            f"optimisation.batch_size: {batch_size} crops cannot be divided evenly among {processes.count} processes"
            f" that each take their share in {parts} parts (compute.accumulate)"
        )
    return Share(processes.rank, processes.count, parts)


def check_step(step: Step, processes: Processes) -> None:
    """Refuse, before anything is written, what could not be done here.

    Raises:
        RecipeError: captured steps without a GPU, or in several processes, where they were never tried.
    """
    if step == "captured" and (processes.count > 1 or not torch.cuda.is_available()):
        raise RecipeError("compute.step: captured needs one CUDA GPU in one process; use eager")


def build_trainer(
    folder: Path,
    rounds: int,
    compute: Compute,
    callbacks: list[Callback],
    processes: Processes,
    *,
    log_every: int,
) -> Trainer:
    """A trainer for a run into `folder`. A Lightning epoch is one of our rounds: a checkpoint is written at its end.

    Rounds are what is counted: where Lightning counts steps, it resumes inside the round that the checkpoint ended.
    """
    keep_state = ModelCheckpoint(
        dirpath=folder,
        filename=Path(STATE).stem,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    table = CSVLogger(folder, name=LOGS)  # a resumed run goes on in version_1, version_2, ...
    return Trainer(
        max_epochs=rounds,
        precision=compute.precision,
        accumulate_grad_batches=compute.accumulate,
        devices=processes.on_each_host,
        num_nodes=processes.hosts,
        # As in the reference each process has statistics of its own while it trains.
        strategy=DDPStrategy(broadcast_buffers=False) if processes.count > 1 else "auto",
        callbacks=[*callbacks, keep_state],
        plugins=[TwoStates(), _environment(processes)],
        logger=[table, TensorBoardLogger(folder, name=LOGS, version=table.version)],
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
        with one_of_several():
            trainer.fit(module, crops, ckpt_path=state, weights_only=True)
    except SystemExit as stopped:
        on = "--resume goes on from the last finished round"
        if last_state(folder_of(trainer)) is None:
            on = "no round was finished, so there is nothing to resume from; start again"
        raise TrainingError(f"stopped at step {trainer.global_step} of {steps}; {on}") from stopped


def _environment(processes: Processes) -> ClusterEnvironment:
    """How the processes find each other, for Lightning, which would else guess a second time who started them."""
    if processes.count == 1:
        return LightningEnvironment()
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    # Lightning insists on it; srun sets it only where it was given --ntasks-per-node.
    os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(processes.on_each_host))
    return SLURMEnvironment(auto_requeue=False)  # which would start the job again without --resume
