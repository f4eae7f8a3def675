"""Fine-tuning rsn18.starter against training from scratch with the same number of steps: PCK on images held out.

Usage: python benchmarks/finetuning.py LSP_EXTENDED/annotations.json FOLDER [--data beetles|LSP] [--threads 2]
       python benchmarks/finetuning.py LSP_EXTENDED/annotations.json FOLDER --speed

For Leeds Sports Pose (14 keypoints, images beside the annotations) and drawn beetles (benchmarks/beetles.py), 50, 200
and 1,000 images are given to what `rsn finetune` does, once with the starter weights and once with `pretrained: null`;
the larger sets contain the smaller ones. Every run has `CROPS` crops of `INPUT_SIZE`, what two quiet cores train in
five minutes (`--speed` measures that), so that the load of the machine does not change the result. 500 other images are
kept for the score: PCK, the share of labeled keypoints found within a tenth of the longer side of the box.

Each finished run appends its rows to benchmarks/finetuning.csv; runs that it has are skipped, so the script can be
stopped and started again. scripts/draw_figures.py makes the table and the plot of docs/your-own-keypoints.md from it.
"""

import argparse
import csv
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from beetles import GROUPS as BEETLE_GROUPS
from beetles import write_beetles
from rsn.data.coco import read_coco
from rsn.evaluation.prediction import labeled_boxes, predict_poses
from rsn.inference.estimator import PoseEstimator
from rsn.training.finetuning import finetuning_recipe
from rsn.training.recipe import Recipe
from rsn.training.run import train

RESULTS = Path(__file__).with_suffix(".csv")
STARTER = "rsn18.starter"
IMAGES = (200, 50, 1000)
HELD_OUT = 500
INPUT_SIZE = (128, 96)  # four times as many crops a second as 256x192, the size of the weights
CROPS = 9_600  # of a run
BATCH_SIZE = 16
PCK = 0.1  # of the longer side of the box
# From scratch: the better of 2e-3 and 4e-3 in short runs, and heatmaps whose gain starts near its trained value.
FROM_SCRATCH = ("optimization.learning_rate=4e-3", "head_bn_gamma=20")
LSP_GROUPS = {
    part: tuple(f"{side}_{part.removesuffix('s')}" for side in ("left", "right"))
    for part in ("shoulders", "elbows", "wrists", "hips", "knees", "ankles")
} | {"neck": ("neck",), "head top": ("head_top",)}


@dataclass(frozen=True)
class Data:
    """A labeled dataset: its training images in a fixed order, of which runs take the first, and those held out."""

    name: str
    document: dict
    images: Path
    train: list[int]
    held_out: list[int]
    groups: dict[str, tuple[str, ...]]

    def write(self, path: Path, ids: Sequence[int]) -> Path:
        """A COCO-keypoints file of some of the images."""
        chosen = set(ids)
        part = self.document | {
            "images": [image for image in self.document["images"] if image["id"] in chosen],
            "annotations": [entry for entry in self.document["annotations"] if entry["image_id"] in chosen],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(part), encoding="utf-8")
        return path


def lsp(annotations: Path) -> Data:
    """Leeds Sports Pose Extended, in an order drawn at random."""
    document = json.loads(annotations.read_text(encoding="utf-8"))
    ids = sorted(image["id"] for image in document["images"])
    order = [ids[index] for index in np.random.default_rng(0).permutation(len(ids))]
    end = HELD_OUT + max(IMAGES)
    return Data("LSP", document, annotations.parent / "images", order[HELD_OUT:end], order[:HELD_OUT], LSP_GROUPS)


def beetles(folder: Path) -> Data:
    """Drawn beetles."""
    count = HELD_OUT + max(IMAGES)
    document = json.loads(write_beetles(folder, count, seed=0).read_text())
    ids = list(range(1, count + 1))
    return Data("beetles", document, folder / "images", ids[HELD_OUT:], ids[:HELD_OUT], BEETLE_GROUPS)


def prepare(data: Data, count: int, pretrained: bool, folder: Path, settings: Sequence[str] = ()) -> Recipe:
    """What `rsn finetune` does with `count` images."""
    shutil.rmtree(folder, ignore_errors=True)
    annotations = data.write(folder / "labels.json", data.train[:count])
    steps = CROPS // BATCH_SIZE
    overrides = (
        f"optimization.batch_size={BATCH_SIZE}", f"optimization.steps={steps}",
        f"optimization.warmup_steps={steps // 20}", f"input_size={list(INPUT_SIZE)}", "compute.workers=0",
    )  # fmt: skip
    overrides += () if pretrained else ("pretrained=null", *FROM_SCRATCH)
    return finetuning_recipe(
        annotations, data.images, folder / "run", pretrained=STARTER, overrides=(*overrides, *settings)
    )


def run(data: Data, count: int, pretrained: bool, folder: Path, settings: Sequence[str] = ()) -> list[dict]:
    """Train on `count` images, and return a row per group of keypoints."""
    recipe = prepare(data, count, pretrained, folder, settings)
    start = time.perf_counter()
    best = train(recipe)
    seconds = time.perf_counter() - start
    shares = pck(best, data.write(folder / "held_out.json", data.held_out), data)
    settings_used = recipe.optimization
    common = {
        "data": data.name,
        "images": count,
        "weights": STARTER if pretrained else "none",
        "steps": settings_used.steps,
        "batch_size": settings_used.batch_size,
        "learning_rate": settings_used.learning_rate,
        "input_size": "x".join(map(str, recipe.input_size)),
        "seconds": round(seconds),
    }
    return [common | {"keypoints": group, "pck": f"{share:.4f}"} for group, share in shares.items()]


def pck(weights: Path, annotations: Path, data: Data) -> dict[str, float]:
    """The share of labeled keypoints that weights find, of all and of each group."""
    people = read_coco(annotations, data.images).filter_valid()
    estimator = PoseEstimator(weights, backend="torch", device="cpu")
    entries = [entry for entries in predict_poses(estimator, labeled_boxes(people)) for entry in entries]
    found = np.array([entry["keypoints"] for entry in entries]).reshape(len(entries), -1, 3)[..., :2]
    labeled = np.stack([person.keypoints for person in people.people])
    seen = np.stack([person.visibility for person in people.people]) > 0
    limits = PCK * np.array([max(person.box[2:]) for person in people.people])[:, None]
    hits = (np.linalg.norm(found - labeled, axis=2) <= limits) & seen
    names = people.skeleton.keypoint_names
    columns = {group: [names.index(name) for name in members] for group, members in data.groups.items()}
    columns = {"all": list(range(len(names)))} | columns
    return {group: float(hits[:, part].sum() / seen[:, part].sum()) for group, part in columns.items()}


def append(path: Path, rows: list[dict]) -> None:
    """Add rows to the table."""
    is_new = not path.exists()
    with open(path, "a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerows(rows)


def finished(path: Path) -> set[tuple[str, int, str]]:
    """Data, images and weights of the runs in the table."""
    if not path.exists():
        return set()
    with open(path, encoding="utf-8", newline="") as file:
        return {(row["data"], int(row["images"]), row["weights"]) for row in csv.DictReader(file)}


def main() -> None:
    """Run what is not in the table yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lsp", type=Path, help="annotations.json of LSP Extended; its images are in images/ beside it")
    parser.add_argument("folder", type=Path, help="for the drawn images and the runs")
    parser.add_argument("--data", nargs="+", default=["beetles", "LSP"], choices=["beetles", "LSP"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--speed", action="store_true", help="train 40 steps and print the crops per second")
    parser.add_argument("--try", dest="tried", metavar="DATA/IMAGES/starter|none", help="one run with other settings")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings of --try and --speed")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    if options.speed:
        short = ("optimization.steps=40", "optimization.warmup_steps=2", "val_interval=20")
        train(prepare(lsp(options.lsp), 50, True, options.folder / "speed", (*short, *options.set)))
        return
    makers = {"beetles": partial(beetles, options.folder / "beetles"), "LSP": partial(lsp, options.lsp)}
    data = {name: makers[name]() for name in options.data}
    if options.tried:
        name, count, weights = options.tried.split("/")
        for row in run(data[name], int(count), weights != "none", options.folder / "try", options.set):
            print(row)
        return
    for count in IMAGES:
        for name, one in data.items():
            for weights in (STARTER, "none"):
                if (name, count, weights) not in finished(RESULTS):
                    folder = options.folder / f"{name}_{count}_{weights}"
                    append(RESULTS, run(one, count, weights != "none", folder))


if __name__ == "__main__":
    main()
