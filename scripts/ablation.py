"""Train one small network with each switch alone, with several seeds, and write the mean OKS as a table.

Usage: python scripts/ablation.py scratch|trained [SEED...]     # docs/ablation_scratch.csv, docs/ablation_trained.csv

Rows that the table already has are skipped, so the script can be stopped and started again, or run for one seed at a
time. All runs of a table see the same data and the same number of crops, and differ from
recipes/ensemble/rsn18_96x64.yaml in the named settings only. Runs are in runs/ablation.
"""

import csv
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsn.data.annotations import PersonAnnotation
from rsn.data.coco import read_coco
from rsn.inference.estimator import PoseEstimator
from rsn.training.checkpoints import LAST_CHECKPOINT
from rsn.training.recipe import read_recipe

RECIPE = Path("recipes/ensemble/rsn18_96x64.yaml")
RUNS, TABLES = Path("runs/ablation"), Path("docs")
BEGINNINGS = {
    "scratch": ("optimization.steps=300", "val_interval=300"),
    "trained": (
        "pretrained=src/rsn/weights/rsn18.starter.safetensors",
        "optimization.steps=500",
        "val_interval=500",
    ),
}
COLUMNS = ("switch", "seed", "mean OKS")
SEEDS = (1, 2)


@dataclass(frozen=True)
class Switch:
    """Settings that differ from the baseline, and the number of processes that share a batch.

    new_layers: the switch adds layers, so that trained weights do not fit.
    """

    settings: tuple[str, ...] = ()
    processes: int = 1
    new_layers: bool = False


SWITCHES = {
    "baseline": Switch(),
    "EMA": Switch(("optimization.ema_decay=0.99",)),
    "AdamW, 0.01, on convolutions": Switch(
        (
            "optimization.optimizer=adamw",
            "optimization.weight_decay=0.01",
            "optimization.decay_norm_and_bias=false",
        )
    ),
    "cosine": Switch(("optimization.schedule=cosine",)),
    "unbiased codec": Switch(("codec=unbiased",)),
    "bf16": Switch(("compute.precision=bf16-mixed",)),
    "PRM after the last output": Switch(("refine=last",), new_layers=True),
    "rotation and half bodies": Switch(
        ("augmentation.rotation_probability=0.5", "augmentation.half_body_probability=0.3")
    ),
    "color jitter": Switch(("augmentation.color_jitter=0.2",)),
    "two processes": Switch(processes=2),
    "two processes, SyncBN": Switch(("sync_batchnorm=true",), processes=2),  # on GPUs only
}


def main(beginning: str, *seeds: int) -> None:
    """Train and measure the missing rows of the table, seed by seed; write a row after each run."""
    table = TABLES / f"ablation_{beginning}.csv"
    if not table.exists():
        table.write_text(",".join(COLUMNS) + "\n")
    for seed in seeds or SEEDS:
        for name, switch in switches_of(beginning).items():
            if (name, str(seed)) not in measured(table):
                folder = run_folder(RUNS / beginning, name, seed)
                settings = (*BEGINNINGS[beginning], *switch.settings, f"seed={seed}", f"output={folder}")
                train(folder, settings, switch.processes)
                add_row(table, name, seed, mean_oks(folder))


def switches_of(beginning: str) -> dict[str, Switch]:
    """Return the switches that can be measured from this beginning."""
    return {name: switch for name, switch in SWITCHES.items() if beginning == "scratch" or not switch.new_layers}


def measured(table: Path) -> set[tuple[str, str]]:
    """Return the switches and seeds that have a row."""
    with table.open(encoding="utf-8", newline="") as file:
        return {(row["switch"], row["seed"]) for row in csv.DictReader(file)}


def train(folder: Path, settings: Sequence[str], processes: int) -> None:
    """Train into a folder with a number of processes; continue an interrupted run."""
    if not (folder / "last.safetensors").is_file():
        resume = ["--resume"] if (folder / LAST_CHECKPOINT).is_file() else []
        process_group = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)] if processes > 1 else []
        subprocess.run(
            [sys.executable, *process_group, "-m", "rsn", "train", RECIPE, *resume, "--set", *settings],
            check=True,
        )


def run_folder(runs: Path, name: str, seed: int) -> Path:
    """Return the folder of a run."""
    words = "".join(letter if letter.isalnum() else " " for letter in name.lower()).split()
    return runs / f"{'_'.join(words)}-{seed}"


def add_row(table: Path, name: str, seed: int, oks_value: float) -> None:
    """Add a row: switch, seed, and the mean OKS of the labeled people, in percent."""
    with table.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow([name, seed, f"{100 * oks_value:.2f}"])


def mean_oks(folder: Path) -> float:
    """Return the mean OKS of each labeled person of the validation set and the pose predicted in the labeled box.

    It changes more smoothly than AP. The area of a person is taken as 0.53 of the box, the average in COCO.
    """
    recipe = read_recipe(RECIPE)
    people = read_coco(recipe.validation.annotations, recipe.validation.images).filter_valid()
    estimator = PoseEstimator(folder / "last.safetensors", flip_test=True)
    sigmas = np.array(estimator.metadata.skeleton.sigmas)
    by_image = {image: list(group) for image, group in groupby(people.people, key=lambda person: person.image)}
    boxes = [[person.box for person in group] for group in by_image.values()]
    results = estimator((image.path for image in by_image), boxes, box_format="xywh", keep_image=False)
    values = [
        oks(person, pose.keypoints, sigmas)
        for group, poses in zip(by_image.values(), results, strict=True)
        for person, pose in zip(group, poses, strict=True)
    ]
    return float(np.mean(values))


def oks(person: PersonAnnotation, found: NDArray[np.float64], sigmas: NDArray[np.float64]) -> float:
    """Return the OKS of a labeled person and predicted keypoints (K, 2), over the labeled keypoints."""
    labeled = person.visibility > 0
    squared = np.square(found - person.keypoints).sum(-1)[labeled]
    area = 0.53 * person.box[2] * person.box[3]
    return float(np.exp(-squared / (2 * area * np.square(2 * sigmas[labeled]))).mean())


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in BEGINNINGS:
        sys.exit(__doc__)
    main(sys.argv[1], *map(int, sys.argv[2:]))
