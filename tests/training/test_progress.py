"""The share of time that a run waits for data, which its report tells."""

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from rsn.training.callbacks import Progress
from rsn.training.recipe import read_recipe


class Crops(Dataset[Tensor]):
    """Three batches that each take some seconds to come."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __len__(self) -> int:
        return 3

    def __getitem__(self, number: int) -> Tensor:
        time.sleep(self.seconds)
        return torch.ones(1)


class Steps(LightningModule):
    """Steps that each take some seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.layer = nn.Linear(1, 1)

    def training_step(self, batch: Tensor) -> Any:
        time.sleep(self.seconds)
        loss = self.layer(batch).sum()
        self.log_dict({"train/loss": loss, "validation/ap": 0.0})
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.parametrize(("data", "step", "waits"), [(0.2, 0.0, True), (0.0, 0.2, False)])
def test_only_the_wait_for_data_counts(
    recipe_file: Path, tmp_path: Path, data: float, step: float, waits: bool
) -> None:
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", callbacks=[Progress(read_recipe(recipe_file), every=1)],
        default_root_dir=tmp_path, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Steps(step), DataLoader(Crops(data)))
    assert (float(trainer.callback_metrics["train/waiting_for_data"]) > 0.5) == waits
