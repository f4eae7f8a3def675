"""The share of time that a run waits for data."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from rsn.data.loading import Interval
from rsn.training.callbacks import Progress


class Clock:
    """A clock that advances only by `sleep`."""

    now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Crops(Dataset[Tensor]):
    """Three batches that each take some seconds to load."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.seconds = clock, seconds

    def __len__(self) -> int:
        return 3

    def __getitem__(self, number: int) -> Tensor:
        self.clock.sleep(self.seconds)
        return torch.ones(1)


class Steps(LightningModule):
    """Steps that each take some seconds."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds
        self.layer = nn.Linear(1, 1)

    def training_step(self, batch: Tensor) -> Any:
        self.clock.sleep(self.seconds)
        loss = self.layer(batch).sum()
        self.log_dict({"train/loss": loss, "validation/ap": 0.0})
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.parametrize(("data", "step", "waits"), [(0.3, 0.1, 0.75), (0.0, 0.2, 0.0)])
def test_waiting_for_data_excludes_the_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: float, step: float, waits: float
) -> None:
    clock = Clock()
    monkeypatch.setattr("rsn.training.callbacks.time", SimpleNamespace(perf_counter=lambda: clock.now))
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", callbacks=[Progress([Interval(1, (64, 64))], 3, 1)],
        default_root_dir=tmp_path, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Steps(clock, step), DataLoader(Crops(clock, data)))
    assert float(trainer.callback_metrics["train/waiting_for_data"]) == pytest.approx(waits)
