"""Fine-tuning against training from scratch, from benchmarks/finetuning.csv, and some of the drawn beetles."""

import csv
import sys
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from figures.style import BLUE, GRAY, ORANGE, save
from figures.tables import Table

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))
from beetles import GROUPS as BEETLE_GROUPS  # noqa: E402
from beetles import LIMBS, NAMES, draw_beetle  # noqa: E402
from finetuning import IMAGES, LSP_GROUPS, STARTER  # noqa: E402

WEIGHTS = {STARTER: ("fine-tuned", BLUE), "none": ("from scratch", ORANGE)}
TITLES = {"beetles": "drawn beetles", "LSP": "Leeds Sports Pose"}
GROUPS = {"beetles": BEETLE_GROUPS, "LSP": LSP_GROUPS}
UNSEEN = ("neck", "head top")  # keypoints of LSP that the starter weights were not trained with
Shares = dict[tuple[str, int, str], dict[str, float]]  # data, images and weights -> PCK of each group of keypoints


def draw(folder: Path) -> dict[str, Table]:
    """finetuning.svg and beetles.jpg, and the tables of docs/your-own-keypoints.md."""
    shares = read_shares()
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    for axes, data in zip(panels, TITLES, strict=True):
        _draw_panel(axes, data, shares)
    panels[0].set(ylabel="PCK, %", ylim=(0, 100))
    panels[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, folder, "finetuning")
    _draw_beetles(folder / "beetles.jpg")
    return {f"fine-tuning, {data}": table for data, table in tables(shares).items()}


def tables(shares: Shares) -> dict[str, Table]:
    """For each dataset a row per number of images, and PCK in percent: fine-tuned / from scratch."""
    found = {}
    for data in TITLES:
        groups = ["all", *GROUPS[data]]
        rows = [[f"{images:,}", *(_cell(data, images, group, shares) for group in groups)] for images in sorted(IMAGES)]
        found[data] = [["training images", *groups], *rows]
    return found


def _cell(data: str, images: int, group: str, shares: Shares) -> str:
    return " / ".join(f"{100 * shares[data, images, weights][group]:.0f}" for weights in WEIGHTS)


def read_shares() -> Shares:
    """The results in benchmarks/finetuning.csv."""
    shares: Shares = {}
    with open(BENCHMARKS / "finetuning.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            key = row["data"], int(row["images"]), row["weights"]
            shares.setdefault(key, {})[row["keypoints"]] = float(row["pck"])
    return shares


def _draw_panel(axes: Axes, data: str, shares: Shares) -> None:
    ticks = sorted(IMAGES)
    for weights, (label, color) in WEIGHTS.items():
        found = [shares[data, images, weights] for images in ticks]
        axes.plot(ticks, [100 * one["all"] for one in found], "o-", color=color, label=f"{label}, all keypoints")
        if set(UNSEEN) <= set(found[0]):
            unseen = [100 * float(np.mean([one[name] for name in UNSEEN])) for one in found]
            axes.plot(ticks, unseen, "o--", color=color, label=f"{label}, {' and '.join(UNSEEN)}")
    axes.set(xscale="log", xlim=(ticks[0] / 1.3, ticks[-1] * 1.3), xlabel="training images", title=TITLES[data])
    axes.set_xticks(ticks, [f"{images:,}" for images in ticks])
    axes.minorticks_off()
    axes.grid(axis="y", color=GRAY, alpha=0.3)


def _draw_beetles(path: Path) -> None:
    """Four images, and the same ones with their keypoints."""
    plain, labeled = [], []
    for number in range(1, 5):
        image, points, _ = draw_beetle(np.random.default_rng((0, number)))
        plain.append(image)
        marked = image.copy()
        places = [tuple(int(value) for value in points[name]) for name in NAMES]
        for a, b in LIMBS:
            cv2.line(marked, places[a - 1], places[b - 1], (255, 255, 255), 1, cv2.LINE_AA)
        for place in places:
            cv2.circle(marked, place, 3, (255, 255, 255), -1, cv2.LINE_AA)
        labeled.append(marked)
    sheet = cv2.resize(np.vstack([np.hstack(plain), np.hstack(labeled)]), None, fx=0.75, fy=0.75)
    cv2.imwrite(str(path), sheet, [cv2.IMWRITE_JPEG_QUALITY, 75])
