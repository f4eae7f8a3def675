"""Train one small network with each switch alone, for several seeds, and write what each is worth as a table.

Usage: python scripts/ablation.py scratch|trained [SEED...]     # docs/ablation_scratch.csv, docs/ablation_trained.csv

A row that the table has is not measured again, so the script may be stopped and started anew, and run once for every
seed at a time. All runs of a table see the same data and the same number of crops; only what is named differs from
recipes/ensemble/rsn18_96x64.yaml. Runs lie in runs/ablation.
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
from rsn.inference.estimator import ImageWithBoxes, PoseEstimator
from rsn.io.images import read_image
from rsn.training.checkpoints import STATE
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
    """What differs from the baseline: settings, and how many processes share a batch.

    new_layers: it adds some, so that nothing trained can be gone on from.
    """

    settings: tuple[str, ...] = ()
    processes: int = 1
    new_layers: bool = False


SWITCHES = {
    "baseline": Switch(),
    "weights averaged (EMA)": Switch(("optimization.ema_decay=0.99",)),
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
    "colors": Switch(("augmentation.color_jitter=0.2",)),
    "two processes": Switch(processes=2),
    "two processes, SyncBN": Switch(("sync_batchnorm=true",), processes=2),  # on GPUs only
}


def main(beginning: str, *seeds: int) -> None:
    """Train and measure what the table lacks, one seed after the other; a row is added after every run."""
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
    """What can be measured from such a beginning."""
    return {
        name: switch for name, switch in SWITCHES.items() if beginning == "scratch" or not switch.new_layers
    }


def measured(table: Path) -> set[tuple[str, str]]:
    """The switches and seeds that have a row."""
    with table.open(newline="") as file:
        return {(row["switch"], row["seed"]) for row in csv.DictReader(file)}


def train(folder: Path, settings: Sequence[str], processes: int) -> None:
    """Train into a folder, by so many processes; a run that was cut off goes on."""
    if not (folder / "last.safetensors").is_file():
        resume = ["--resume"] if (folder / STATE).is_file() else []
        process_group = (
            ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)] if processes > 1 else []
        )
        subprocess.run(
            [sys.executable, *process_group, "-m", "rsn", "train", RECIPE, *resume, "--set", *settings],
            check=True,
        )


def run_folder(runs: Path, name: str, seed: int) -> Path:
    """Where a run lies."""
    words = "".join(letter if letter.isalnum() else " " for letter in name.lower()).split()
    return runs / f"{'_'.join(words)}-{seed}"


def add_row(table: Path, name: str, seed: int, oks_value: float) -> None:
    """One row a run: switch, seed, and the mean OKS of the labeled people, in percent."""
    with table.open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow([name, seed, f"{100 * oks_value:.2f}"])


def mean_oks(folder: Path) -> float:
    """OKS of each labeled person of the validation set and the pose found in their box, averaged.

    It is steadier than AP, which counts who is above a threshold. A person's area is taken as 0.53 of the box, which
    is what it is on average in COCO.
    """
    recipe = read_recipe(RECIPE)
    people = read_coco(recipe.validation.annotations, recipe.validation.images).filter_valid()
    estimator = PoseEstimator(folder / "last.safetensors", flip=True)
    sigmas = np.array(estimator.metadata.skeleton.sigmas)
    by_image = {
        image: list(group) for image, group in groupby(people.people, key=lambda person: person.image)
    }
    images_with_boxes = (
        ImageWithBoxes.of(read_image(image.path), [person.box for person in group])
        for image, group in by_image.items()
    )
    oks_value = [
        oks(person, pose.keypoints, sigmas)
        for group, poses in zip(by_image.values(), estimator.estimate(images_with_boxes), strict=True)
        for person, pose in zip(group, poses, strict=True)
    ]
    return float(np.mean(oks_value))


def oks(person: PersonAnnotation, found: NDArray[np.float64], sigmas: NDArray[np.float64]) -> float:
    """COCO's similarity of a labeled person and the keypoints (K, 2) that were found, over the labeled keypoints."""
    labeled = person.visibility > 0
    squared = np.square(found - person.keypoints).sum(-1)[labeled]
    area = 0.53 * person.box[2] * person.box[3]
    return float(np.exp(-squared / (2 * area * np.square(2 * sigmas[labeled]))).mean())


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in BEGINNINGS:
        sys.exit(__doc__)
    main(sys.argv[1], *map(int, sys.argv[2:]))
