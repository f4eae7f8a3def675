"""Train one small network with each switch alone, for several seeds, and write what each is worth as a table.

Usage: python scripts/ablation.py [RUNS] [TABLE]     # runs/ablation docs/ablation.csv

A run that is there is not repeated, so the script may be stopped and started again. All runs see the same data, the
same number of crops and the same schedule; only what is named differs from recipes/ensemble/rsn18_96x64.yaml.
"""

import csv
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsn.datasets.coco import read_coco
from rsn.datasets.labelled import LabelledPerson
from rsn.images import read_image
from rsn.inference.estimator import PoseEstimator, Scene
from rsn.training.recipe import read_recipe

RECIPE = Path("recipes/ensemble/rsn18_96x64.yaml")
LENGTH = ("optimisation.steps=1000", "validate_every=1000")
SEEDS = (1, 2)
SWITCHES: dict[str, tuple[str, ...]] = {
    "baseline": (),
    "weights averaged (EMA)": ("optimisation.average=0.998",),
    "AdamW, 0.01, on convolutions": (
        "optimisation.optimizer=adamw",
        "optimisation.weight_decay=0.01",
        "optimisation.decay_on=convolutions",
    ),
    "cosine": ("optimisation.schedule=cosine",),
    "unbiased codec": ("decoder=unbiased",),
    "bf16": ("compute.precision=bf16-mixed",),
    "PRM after the last output": ("refine=last",),
    "rotation and half bodies": (
        "augmentation.rotation_probability=0.5",
        "augmentation.half_body_probability=0.3",
    ),
}


def main(runs: Path = Path("runs/ablation"), table: Path = Path("docs/ablation.csv")) -> None:
    """Train what is missing, one seed after the other, and write the table after every run."""
    for seed in SEEDS:
        for name, settings in SWITCHES.items():
            folder = run_folder(runs, name, seed)
            if not (folder / "last.safetensors").is_file():
                overrides = (*LENGTH, *settings, f"seed={seed}", f"output={folder}")
                subprocess.run(
                    [sys.executable, "-m", "rsn", "train", RECIPE, "--set", *overrides], check=True
                )
            write_table(runs, table)


def run_folder(runs: Path, name: str, seed: int) -> Path:
    """Where a run lies."""
    words = "".join(letter if letter.isalnum() else " " for letter in name.lower()).split()
    return runs / f"{'_'.join(words)}-{seed}"


def write_table(runs: Path, table: Path) -> None:
    """One row a run that is done: switch, seed, and the mean OKS of the labelled people, in percent."""
    done = [
        (name, seed, folder)
        for name in SWITCHES
        for seed in SEEDS
        if (folder := run_folder(runs, name, seed)).joinpath("last.safetensors").is_file()
    ]
    with table.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["switch", "seed", "mean OKS"])
        rows.writerows((name, seed, f"{100 * mean_oks(folder):.2f}") for name, seed, folder in done)


def mean_oks(folder: Path) -> float:
    """OKS of each labelled person of the validation set and the pose found in their box, averaged.

    It is steadier than AP, which counts who is above a threshold. A person's area is taken as 0.53 of the box, which
    is what it is on average in COCO.
    """
    recipe = read_recipe(RECIPE)
    people = read_coco(recipe.validation.annotations, recipe.validation.images).with_joints()
    estimator = PoseEstimator(folder / "last.safetensors", flip=True)
    sigmas = np.array(estimator.card.skeleton.sigmas)
    by_image = {
        image: list(group) for image, group in groupby(people.people, key=lambda person: person.image)
    }
    scenes = (
        Scene.of(read_image(image.path), [person.box for person in group])
        for image, group in by_image.items()
    )
    likeness = [
        oks(person, pose.keypoints, sigmas)
        for group, poses in zip(by_image.values(), estimator.estimate(scenes), strict=True)
        for person, pose in zip(group, poses, strict=True)
    ]
    return float(np.mean(likeness))


def oks(person: LabelledPerson, found: NDArray[np.float64], sigmas: NDArray[np.float64]) -> float:
    """COCO's similarity of a labelled person and the joints (K, 2) that were found, over the labelled joints."""
    labelled = person.visibility > 0
    squared = np.square(found - person.keypoints).sum(-1)[labelled]
    area = 0.53 * person.box[2] * person.box[3]
    return float(np.exp(-squared / (2 * area * np.square(2 * sigmas[labelled]))).mean())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
