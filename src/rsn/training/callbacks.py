"""What happens around the training steps: validation, weights files, progress."""

import math
import time
from dataclasses import replace
from typing import Any

from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from rsn.datasets.coco import read_json
from rsn.datasets.labelled import PoseDataset
from rsn.evaluation.coco import evaluate_keypoints
from rsn.evaluation.run import estimate_boxes, labelled_boxes
from rsn.inference.estimator import PoseEstimator
from rsn.networks.card import Card
from rsn.networks.weights import save_weights
from rsn.skeletons import with_sigmas
from rsn.training.module import PoseTraining
from rsn.training.recipe import Recipe


class Validation(Callback):
    """After every round: AP on the validation set with its labelled boxes, last.safetensors, best.safetensors."""

    def __init__(self, recipe: Recipe, people: PoseDataset, card: Card) -> None:
        self.annotations = read_json(recipe.validation.annotations)  # once, not in every round
        self.boxes = labelled_boxes(people)
        self.category_id = people.category_id
        self.body = with_sigmas(card.skeleton)
        self.card = card
        self.best_weights = recipe.output / "best.safetensors"
        self.last_weights = recipe.output / "last.safetensors"
        self.best_ap = -math.inf

    def state_dict(self) -> dict[str, Any]:
        return {"best_ap": self.best_ap}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_ap = state_dict["best_ap"]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, PoseTraining)
        network = pl_module.network
        ap = self._ap(PoseEstimator(network, card=self.card, device=str(pl_module.device)))
        network.train()
        pl_module.log("validation/ap", ap)
        card = replace(self.card, steps=trainer.global_step, figures={"validation_ap": round(ap, 4)})
        save_weights(self.last_weights, network, card)
        if ap > self.best_ap:
            self.best_ap = ap
            save_weights(self.best_weights, network, card)

    def _ap(self, estimator: PoseEstimator) -> float:
        results = estimate_boxes(estimator, self.boxes, category_id=self.category_id)
        found = [entry for entries in results for entry in entries]
        return evaluate_keypoints(self.annotations, found, self.body).ap


class Progress(Callback):
    """A bar with the time left, and the share of time that the loop waited for data."""

    def __init__(self, steps: int, *headlines: str) -> None:
        self.steps = steps
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
            disable=not self.console.is_terminal,
        )
        self.waited = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for line in self.headlines:
            self.console.print(line)
        self.task = self.bar.add_task("", total=self.steps, completed=trainer.global_step)
        self.bar.start()
        self.started = self.ready = time.perf_counter()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.waited += time.perf_counter() - self.ready

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.ready = time.perf_counter()
        waiting = self._waiting()
        text = f"loss {float(outputs['loss']):.1f}  waiting for data {waiting:.0%}"
        self.bar.update(self.task, completed=trainer.global_step, description=text)
        pl_module.log("train/waiting_for_data", waiting)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        metrics = trainer.callback_metrics
        self.console.print(
            f"step {trainer.global_step}/{self.steps}: loss {float(metrics['train/loss']):.1f},"
            f" validation AP {float(metrics['validation/ap']):.3f}, waiting for data {self._waiting():.0%}"
        )
        self.ready = time.perf_counter()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.bar.stop()

    def _waiting(self) -> float:
        return self.waited / max(time.perf_counter() - self.started, 1e-9)
