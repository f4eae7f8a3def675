"""What the steps of a training run spend their time on: waiting for data, the network, the optimizer, everything else.

    python benchmarks/step_shares.py recipes/starter/rsn18.yaml --set output=runs/shares compute.workers=2
    python benchmarks/step_shares.py ... --size 256 192 --batch 16 --optimizers adamw muon

Trains with the recipe's data, once per optimizer, and prints the milliseconds and the share of each part, without the
first steps and the validation. Crops are prepared by the recipe's workers, which share the processors with the network.
"""

import argparse
from collections import Counter
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from lightning import Callback

from rsn.training.recipe import read_recipe
from rsn.training.run import train

SKIPPED = 2  # steps before the first that counts
PARTS = ("waiting for data", "forward", "backward", "optimizer", "other")


class StepClock(Callback):
    """Measures every step; `steps` has one count of seconds by part for each."""

    def __init__(self) -> None:
        self.steps: list[Counter[str]] = []
        self.step: Counter[str] = Counter()
        self.ended: float | None = None

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        heatmaps = pl_module.network.heatmaps

        def timed(crops: torch.Tensor) -> Any:
            began = perf_counter()
            result = heatmaps(crops)
            self.step["forward"] += perf_counter() - began
            return result

        pl_module.network.heatmaps = timed

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        (optimizer,) = trainer.optimizers
        optimizer.register_step_post_hook(self._after_step)
        self.ended = perf_counter()

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.began = perf_counter()
        self.step = Counter({"waiting for data": self.began - self.ended})  # type: ignore[dict-item]

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Any) -> None:
        self.mark = perf_counter()

    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        self.step["backward"] += perf_counter() - self.mark

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.mark = perf_counter()

    def _after_step(self, optimizer: Any, *_: Any) -> None:
        self.step["optimizer"] += perf_counter() - self.mark

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.ended = perf_counter()
        known = sum(self.step[part] for part in ("forward", "backward", "optimizer"))
        self.step["other"] = self.ended - self.began - known
        self.steps.append(self.step)


def main() -> None:
    """Train, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--size", type=int, nargs=2, default=(128, 96), help="height and width of the crops")
    parser.add_argument("--batch", type=int, default=32, help="crops")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--optimizers", nargs="+", default=["muon"])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of the recipe")
    options = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, {options.batch} crops of {options.size[0]}x{options.size[1]}")
    print(f"| optimizer | ms per step | {' | '.join(PARTS)} |\n|---|{'---|' * (len(PARTS) + 1)}")
    for optimizer in options.optimizers:
        own = (
            "stages=[]",
            f"input_size=[{options.size[0]}, {options.size[1]}]",
            f"optimization.batch_size={options.batch}",
            f"optimization.steps={options.steps}",
            f"val_interval={options.steps}",
            f"optimization.optimizer={optimizer}",
        )
        recipe = read_recipe(options.recipe, (*options.set, *own))
        clock = StepClock()
        train(
            read_recipe(options.recipe, (*options.set, *own, f"output={recipe.output}_{optimizer}")), callbacks=[clock]
        )
        steps = clock.steps[SKIPPED:]
        total = median(sum(step.values()) for step in steps)
        shares = [sum(step[part] for step in steps) / sum(sum(step.values()) for step in steps) for part in PARTS]
        print(f"| {optimizer} | {1000 * total:.0f} | {' | '.join(f'{share:.1%}' for share in shares)} |")


if __name__ == "__main__":
    main()
