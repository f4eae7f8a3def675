"""What happens around the training steps: averaged weights, validation, weights files, progress."""

import math
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as distributed
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from rsn.training.folder import BEST, LAST, device_name
from rsn.training.module import TrainingModule, ValidationResult
from rsn.training.recipe import OptimizationConfig
from rsn.training.report import SAMPLES
from rsn.weights.loading import save_weights
from rsn.weights.metadata import WeightsMetadata


class AveragedWeights(WeightAveraging):
    """Lightning's exponential moving average of the weights and statistics, with a decay that warms up.

    After n steps the decay is (1 + n) / (10 + n), at most `decay`, so that the initial weights are soon forgotten.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=self._average)
        self.decay = decay

    @property
    def network(self) -> nn.Module:
        """The network with the averaged weights, once training has started."""
        assert self._average_model is not None
        network = self._average_model.module.network
        assert isinstance(network, nn.Module)
        return network

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._device = trainer.strategy.root_device  # where the module will be, too
        super().setup(trainer, pl_module, stage)
        assert self._average_model is not None
        trainer.precision_plugin.convert_module(self._average_model)
        # It is read in every step, for which a GPU would have to wait.
        self._average_model.n_averaged = self._average_model.n_averaged.cpu()

    def _average(self, averaged: list[Tensor], current: list[Tensor], _: object) -> None:
        step = self._latest_update_step + 1
        decay = min(self.decay, (1 + step) / (10 + step))
        get_ema_multi_avg_fn(decay)(averaged, current, 0)  # type: ignore[no-untyped-call]


class Validation(Callback):
    """Validates after every epoch of Lightning, and writes last.safetensors and best.safetensors.

    Averaged weights, if there are any, are validated and written instead of the trained ones.
    """

    def __init__(
        self,
        folder: Path,
        metadata: WeightsMetadata,
        validate: Callable[[nn.Module, str], ValidationResult],
        averaged: AveragedWeights | None,
    ) -> None:
        self.folder = folder
        self.metadata = metadata
        self.validate = validate
        self.averaged = averaged
        self.best = -math.inf

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        network = self.averaged.network if self.averaged else pl_module.network
        _share_buffers(pl_module.network, network)
        validated = network if pl_module.dtype == torch.float32 else deepcopy(network).float()
        result = self.validate(validated, str(pl_module.device))
        pl_module.train()
        pl_module.log_dict({f"validation/{name}": value for name, value in result.metrics.items()})
        headline = result.metrics[result.headline]
        if trainer.is_global_zero:
            metadata = replace(self.metadata, steps=trainer.global_step, metrics=result.stored)
            save_weights(self.folder / LAST, network, metadata)
            if headline >= self.best:  # of equal ones the longest trained, as while all are still 0
                save_weights(self.folder / BEST, network, metadata)
                if result.draw:
                    result.draw(self.folder / SAMPLES)
        self.best = max(self.best, headline)


def _share_buffers(*networks: nn.Module) -> None:
    """Give all processes the batch norm statistics of the first one, which are those that are written."""
    if distributed.is_initialized():
        for network in networks:
            for buffer in network.buffers():
                distributed.broadcast(buffer, 0)


class Progress(Callback):
    """A progress bar with crops per second and the share of time spent waiting for data, and a line per validation.

    Add it after all other callbacks: its time of an epoch includes theirs. interval: batches between updates.
    """

    def __init__(self, optimization: OptimizationConfig, interval: int, headlines: Sequence[str] = ()) -> None:
        self.steps = optimization.steps
        self.batch_size = optimization.batch_size
        self.interval = interval
        self.headlines = headlines
        self.console = Console(stderr=True, soft_wrap=True, highlight=False)
        columns = (
            MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
            TextColumn("left"), TimeRemainingColumn(),
        )  # fmt: skip
        self.bar = Bar(TextColumn("step"), *columns, console=self.console)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.bar.disable = not (self.console.is_terminal and trainer.is_global_zero)
        self.console.quiet = not trainer.is_global_zero

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        processes = f", in {trainer.world_size} processes" if trainer.world_size > 1 else ""
        for line in (*self.headlines, f"device     {device_name(pl_module.device)}{processes}"):
            self.console.print(line, markup=False)  # names may have brackets
        self.task = self.bar.add_task("", total=self.steps, completed=trainer.global_step)
        self.bar.start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.first_step = trainer.global_step
        self.waited = 0.0
        self.started = self.ready = time.perf_counter()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.waited += time.perf_counter() - self.ready

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % self.interval == 0:  # reading the loss makes a GPU wait
            self._update(trainer, pl_module)
        self.ready = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        metrics = trainer.callback_metrics
        key, name = ("ap", "AP") if "validation/ap" in metrics else ("pckh", "PCKh")
        self.console.print(
            f"step {trainer.global_step}/{self.steps}: loss {float(metrics['train/loss']):.4g},"
            f" validation {name} {float(metrics[f'validation/{key}']):.3f},"
            f" {float(metrics['train/crops_per_second']):.0f} crops/s,"
            f" waiting for data {float(metrics['train/waiting_for_data']):.0%}"
        )
        pl_module.log("train/seconds", time.perf_counter() - self.started)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.bar.stop()

    def _update(self, trainer: Trainer, pl_module: LightningModule) -> None:
        loss = float(trainer.callback_metrics["train/loss"])
        seconds = max(time.perf_counter() - self.started, 1e-9)
        waiting = self.waited / seconds
        speed = (trainer.global_step - self.first_step) * self.batch_size / seconds
        text = f"loss {loss:.4g}  {speed:.0f} crops/s  waiting for data {waiting:.0%}"
        self.bar.update(self.task, completed=trainer.global_step, description=text)
        rates = {"train/waiting_for_data": waiting, "train/crops_per_second": speed}
        pl_module.log_dict(rates | {"train/learning_rate": trainer.optimizers[0].param_groups[0]["lr"]})
