"""What happens around the training steps: validation, weights files, progress."""

import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import torch.distributed as distributed
from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from rsn.data.annotations import PoseDataset
from rsn.data.mpii import is_mpii
from rsn.distributed import gather, shard
from rsn.evaluation.coco import CocoMetrics, GroundTruth, evaluate_keypoints
from rsn.evaluation.mpii import PckhMetrics, check_head_sizes, evaluate_pckh
from rsn.evaluation.prediction import labeled_boxes, predict_poses
from rsn.inference.estimator import PoseEstimator
from rsn.models.network import PoseNetwork
from rsn.skeletons import with_sigmas
from rsn.training.averaging import AveragedWeights
from rsn.training.folder import BEST, LAST, device_name
from rsn.training.recipe import BaseRecipe
from rsn.training.report import SAMPLES
from rsn.training.samples import write_samples
from rsn.weights.loading import save_weights
from rsn.weights.metadata import ModelMetadata


@dataclass(frozen=True)
class Measured:
    """What a validation measured.

    metrics: by name; the `headline` chooses the best weights. noted: what their metadata says. draw: writes an image of
    what was found to a path.
    """

    metrics: dict[str, float]
    headline: str
    noted: dict[str, float]
    draw: Callable[[Path], None] | None = None


Measure = Callable[[PoseNetwork, str], Measured]  # of a network, on a device


class Validation(Callback):
    """After every round: metrics on the validation set, last.safetensors, best.safetensors.

    Where the weights are averaged, the average is what is validated and written.
    """

    def __init__(
        self, folder: Path, metadata: ModelMetadata, averaged: AveragedWeights | None, measure: Measure
    ) -> None:
        self.folder = folder
        self.metadata = metadata
        self.averaged = averaged
        self.measure = measure
        self.best = -math.inf

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trained = pl_module.network
        assert isinstance(trained, PoseNetwork)
        network = self.averaged.network if self.averaged else trained
        _agree_on_statistics(trained, network)
        usable = network if pl_module.dtype == torch.float32 else deepcopy(network).float()
        measured = self.measure(usable, str(pl_module.device))
        trained.train()
        pl_module.log_dict({f"validation/{name}": value for name, value in measured.metrics.items()})
        headline = measured.metrics[measured.headline]
        if trainer.is_global_zero:
            metadata = replace(self.metadata, steps=trainer.global_step, metrics=measured.noted)
            save_weights(self.folder / LAST, network, metadata)
            if headline >= self.best:  # of equal ones the longest trained, as while all are still 0
                save_weights(self.folder / BEST, network, metadata)
                if measured.draw:
                    measured.draw(self.folder / SAMPLES)
        self.best = max(self.best, headline)


class MeasurePoses:
    """AP (for MPII: PCKh) of a network in the validation set's boxes; several processes share the images.

    Raises:
        AnnotationError: people to validate with have no head sizes, or no OKS sigmas are known.
    """

    def __init__(self, annotations: Path, people: PoseDataset, metadata: ModelMetadata) -> None:
        self.people = people.people
        self.metadata = metadata
        self.skeleton = metadata.skeleton
        self.annotations: GroundTruth | None = None
        if is_mpii(annotations):
            check_head_sizes(self.people)
        else:  # once, not in every round
            self.skeleton = with_sigmas(metadata.skeleton)
            self.annotations = GroundTruth.from_coco(annotations, self.skeleton)
        self.boxes = labeled_boxes(people)
        self.category_id = people.category_id

    def __call__(self, network: PoseNetwork, device: str) -> Measured:
        """Estimate, and compare with the labels."""
        estimator = PoseEstimator(network, metadata=self.metadata, device=device)
        mine = predict_poses(estimator, shard(self.boxes), category_id=self.category_id)
        found = list(chain.from_iterable(gather(list(mine))))  # in the order of the images
        scores: CocoMetrics | PckhMetrics
        if self.annotations is None:
            scores = evaluate_pckh(self.people, found)
        else:
            scores = evaluate_keypoints(self.annotations, found, self.skeleton)
        name, headline = scores.headline

        def draw(path: Path) -> None:
            write_samples(path, self.boxes, found, self.metadata.skeleton)

        metrics = asdict(scores) | {name: headline}
        return Measured(metrics, name, {f"validation_{name}": round(headline, 4)}, draw)


def _agree_on_statistics(*networks: PoseNetwork) -> None:
    """Give all processes the batch norms' statistics of the first, which are the ones that are written."""
    if distributed.is_initialized():
        for network in networks:
            for statistics in network.buffers():
                distributed.broadcast(statistics, 0)


class Progress(Callback):
    """A bar with the time left, crops a second, and the share of time that the loop waited for data.

    It comes after all else that happens at the end of a round, whose time it takes.
    """

    def __init__(self, recipe: BaseRecipe, every: int, *headlines: str) -> None:
        self.steps = recipe.optimization.steps
        self.batch_size = recipe.optimization.batch_size
        self.every = every
        self.console = Console(stderr=True, soft_wrap=True, highlight=False)
        self.headlines = headlines
        self.bar = Bar(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
        )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.bar.disable = not (self.console.is_terminal and trainer.is_global_zero)
        self.console.quiet = not trainer.is_global_zero

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        several = f", in {trainer.world_size} processes" if trainer.world_size > 1 else ""
        for line in (*self.headlines, f"device     {device_name(pl_module.device)}{several}"):
            self.console.print(line, markup=False)  # names may have brackets
        self.task = self.bar.add_task("", total=self.steps, completed=trainer.global_step)
        self.bar.start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.first_step = trainer.global_step
        self.waited = 0.0
        self.started = self.ready = time.perf_counter()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.waited += time.perf_counter() - self.ready

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % self.every == 0:  # looking at the loss makes a GPU wait
            self._tell(trainer, pl_module)
        self.ready = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        metrics = trainer.callback_metrics
        key, name = ("ap", "AP") if "validation/ap" in metrics else ("pckh", "PCKh")
        self.console.print(
            f"step {trainer.global_step}/{self.steps}: loss {float(metrics['train/loss']):.4g},"
            f" validation {name} {float(metrics[f'validation/{key}']):.3f},"
            f" {float(metrics['train/crops_per_second']):.0f} crops a second,"
            f" waiting for data {float(metrics['train/waiting_for_data']):.0%}"
        )
        pl_module.log("train/seconds", time.perf_counter() - self.started)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.bar.stop()

    def _tell(self, trainer: Trainer, pl_module: LightningModule) -> None:
        loss = float(trainer.callback_metrics["train/loss"])
        seconds = max(time.perf_counter() - self.started, 1e-9)
        waiting = self.waited / seconds
        speed = (trainer.global_step - self.first_step) * self.batch_size / seconds
        text = f"loss {loss:.4g}  {speed:.0f} crops/s  waiting for data {waiting:.0%}"
        self.bar.update(self.task, completed=trainer.global_step, description=text)
        rates = {"train/waiting_for_data": waiting, "train/crops_per_second": speed}
        pl_module.log_dict(rates | {"train/learning_rate": trainer.optimizers[0].param_groups[0]["lr"]})
