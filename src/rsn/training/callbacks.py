"""What happens around the training steps: averaged weights, validation, weights files, progress."""

import math
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as distributed
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from rsn.data.loading import Interval
from rsn.io.files import atomic_write, make_folder
from rsn.io.pages import render_page
from rsn.training.folder import BEST, LAST, SAMPLES, device_name
from rsn.training.module import Task, TrainingModule
from rsn.weights.loading import save_weights

HEADLINES = {"ap": "AP", "ap50": "AP50", "pckh": "PCKh", "pck": "PCK"}  # the metrics that select the best weights
PAGE, ROWS = "progress.html", "progress"  # the page of a run, and the folder of its images


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


@dataclass(frozen=True)
class Entry:
    """A validation on the page of a run: after how many steps, at which input size, and its metrics by name."""

    step: int
    input_size: tuple[int, int]
    metrics: dict[str, float]


class Validation(Callback):
    """Validates after every epoch of Lightning, and writes last.safetensors, best.safetensors and progress.html.

    Averaged weights, if there are any, are validated and written instead of the trained ones. The best weights are
    those of the stage that is trained, since the next one has another input size.
    """

    def __init__(self, folder: Path, task: Task, averaged: AveragedWeights | None) -> None:
        self.folder = folder
        self.task = task
        self.averaged = averaged
        self.best, self.best_step = -math.inf, 0
        self.entries: list[Entry] = []
        self.summary = ""  # of the last validation, in words

    def state_dict(self) -> dict[str, Any]:
        entries = [asdict(entry) for entry in self.entries]
        return {"best": self.best, "best_step": self.best_step, "entries": entries}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.best_step = state_dict["best"], state_dict.get("best_step", 0)
        self.entries = [Entry(**entry) for entry in state_dict.get("entries", ())]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        network = self.averaged.network if self.averaged else pl_module.network
        _share_buffers(pl_module.network, network)
        validated = network if pl_module.dtype == torch.float32 else deepcopy(network).float()
        metadata = self.task.metadata_at(pl_module.input_size)
        result = self.task.validate(validated, metadata, str(pl_module.device))
        pl_module.train()
        pl_module.log_dict({f"validation/{name}": value for name, value in result.metrics.items()})
        headline = result.metrics[result.headline]
        if self.entries and self.entries[-1].input_size != pl_module.input_size:
            self.best = -math.inf
        self.entries.append(Entry(trainer.global_step, pl_module.input_size, result.metrics))
        is_best = headline >= self.best  # of equal ones the longest trained, as while all are still 0
        if is_best:
            self.best, self.best_step = headline, trainer.global_step
        oks = f", mean OKS {result.metrics['mean_oks']:.3f}" if "mean_oks" in result.metrics else ""
        name = HEADLINES[result.headline]
        self.summary = f"validation {name} {headline:.3f}{oks} (best {self.best:.3f} at step {self.best_step})"
        if trainer.is_global_zero:
            metadata = replace(metadata, steps=trainer.global_step, metrics=result.stored)
            save_weights(self.folder / LAST, network, metadata)
            if is_best:
                save_weights(self.folder / BEST, network, metadata)
                if result.draw:
                    result.draw(self.folder / SAMPLES)
            if result.draw_row:
                make_folder(self.folder / ROWS)
                result.draw_row(self.folder / ROWS / _row_name(trainer.global_step))
                self._write_page(result.headline)

    def _write_page(self, headline: str) -> None:
        """progress.html: the people of every validation, the newest first."""
        names = [name for name in (headline, "mean_oks") if name in self.entries[-1].metrics]
        shown = [HEADLINES.get(name, "mean OKS") for name in names]
        rows = [
            {
                "step": entry.step,
                "size": "x".join(map(str, entry.input_size)),
                "metrics": [f"{entry.metrics[name]:.3f}" for name in names],
                "image": f"{ROWS}/{_row_name(entry.step)}",
            }
            for entry in reversed(self.entries)
        ]
        page = render_page("progress.html", title=f"Progress of {self.folder.name}", names=shown, rows=rows)
        atomic_write(self.folder / PAGE, page)


def _row_name(step: int) -> str:
    return f"{step:08d}.jpg"


def _share_buffers(*networks: nn.Module) -> None:
    """Give all processes the batch norm statistics of the first one, which are those that are written."""
    if distributed.is_initialized():
        for network in networks:
            for buffer in network.buffers():
                distributed.broadcast(buffer, 0)


class Progress(Callback):
    """A progress bar with crops per second, share of time spent waiting for data and time left; a line per validation.

    Add it after all other callbacks: its time of an epoch includes theirs.

    steps: per interval. update_every: batches between updates.
    """

    def __init__(
        self,
        intervals: Sequence[Interval],
        steps: int,
        update_every: int,
        validation: Validation | None = None,
        headlines: Sequence[str] = (),
    ) -> None:
        self.intervals = intervals
        self.steps = len(intervals) * steps
        self.steps_per_interval = steps
        self.update_every = update_every
        self.validation = validation
        self.headlines = headlines
        self.console = Console(stderr=True, soft_wrap=True, highlight=False)
        columns = (MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
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
        self.began, self.began_at = time.perf_counter(), trainer.global_step

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.batch_size = self.intervals[trainer.current_epoch].batch_size
        self.first_step = trainer.global_step
        self.waited = 0.0
        self.started = self.ready = time.perf_counter()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.waited += time.perf_counter() - self.ready

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % self.update_every == 0:  # reading the loss makes a GPU wait
            self._update(trainer, pl_module)
        self.ready = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        metrics = trainer.callback_metrics
        self.console.print(
            f"step {trainer.global_step}/{self.steps}: loss {float(metrics['train/loss']):.4g},"
            f" {self.validation.summary if self.validation else 'not validated'},"
            f" {float(metrics['train/crops_per_second']):.0f} crops/s,"
            f" waiting for data {float(metrics['train/waiting_for_data']):.0%},"
            f" {self._time_left(trainer.global_step)} left"
        )
        pl_module.log("train/seconds", time.perf_counter() - self.started)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.bar.stop()

    def _time_left(self, step: int) -> str:
        """Hours, minutes and seconds, if all pixels take the time that they took since the start of this process."""
        done = self._pixels(step) - self._pixels(self.began_at)
        left = self._pixels(self.steps) - self._pixels(step)
        seconds = (time.perf_counter() - self.began) * left / max(done, 1)
        return str(timedelta(seconds=round(seconds)))

    def _pixels(self, step: int) -> int:
        """The pixels of all crops before a step."""
        per_step = [math.prod((interval.batch_size, *interval.size)) for interval in self.intervals]
        whole, rest = divmod(step, self.steps_per_interval)
        return self.steps_per_interval * sum(per_step[:whole]) + (rest * per_step[whole] if rest else 0)

    def _update(self, trainer: Trainer, pl_module: LightningModule) -> None:
        loss = float(trainer.callback_metrics["train/loss"])
        seconds = max(time.perf_counter() - self.started, 1e-9)
        waiting = self.waited / seconds
        speed = (trainer.global_step - self.first_step) * self.batch_size / seconds
        left = self._time_left(trainer.global_step)
        text = f"loss {loss:.4g}  {speed:.0f} crops/s  waiting for data {waiting:.0%}  {left} left"
        self.bar.update(self.task, completed=trainer.global_step, description=text)
        rates = {"train/waiting_for_data": waiting, "train/crops_per_second": speed}
        pl_module.log_dict(rates | {"train/learning_rate": trainer.optimizers[0].param_groups[0]["lr"]})
