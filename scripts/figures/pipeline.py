"""From an image to keypoints, with the weights that come with the package."""

from functools import lru_cache
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from skimage.data import astronaut
from torch import Tensor

from figures.style import GRAY, ORANGE
from figures.tables import Table
from rsn import PoseEstimator
from rsn.geometry import Crop, Image
from rsn.skeletons import COCO_17
from rsn.visualization.drawing import draw_people

BOX = (50, 0, 300, 440)  # around Eileen Collins, in pixels of scikit-image's astronaut
KEYPOINT = COCO_17.keypoint_names.index("left_shoulder")


@lru_cache
def estimator() -> PoseEstimator:
    """Create the estimator, in PyTorch on the CPU: the same results on every machine."""
    return PoseEstimator("rsn18.starter", backend="torch", device="cpu")


@lru_cache
def person_and_maps() -> tuple[NDArray[np.float64], Tensor]:
    """Return keypoints (K, 2) with the flip test, in input pixels, and the heatmaps (1, K, h, w) without it."""
    metadata = estimator().metadata
    crops = estimator().preprocess(astronaut(), np.array([BOX], float), np.ones(1))
    maps = estimator().forward([crops]).clone()
    flipping = PoseEstimator("rsn18.starter", backend="torch", device="cpu", flip_test=True)
    keypoints, _ = metadata.codec.decode(flipping.forward([crops]))
    return keypoints[0].double().numpy(), maps


def draw(folder: Path) -> dict[str, Table]:
    """Draw pipeline.jpg; an SVG with images would be large."""
    image = astronaut()
    metadata = estimator().metadata
    crop = Crop.from_box(BOX, metadata.input_size, metadata.bbox_padding)
    people = estimator()(image, [BOX], box_format="xywh")
    _, maps = person_and_maps()
    height, width = metadata.input_size
    figure, panels = plt.subplots(1, 5, figsize=(14, 4.1), width_ratios=[4, 3, 3, 3, 4])
    panels[0].imshow(_small(image, 300), extent=(-0.5, 511.5, 511.5, -0.5))
    panels[0].add_patch(plt.Rectangle(BOX[:2], *BOX[2:], fill=False, color=ORANGE, lw=3))
    pixels = crop.warp(image)
    panels[1].imshow(pixels)
    _heat(panels[2], maps[0, KEYPOINT].numpy())
    _heat(panels[3], maps[0].amax(0).numpy())
    panels[4].imshow(_small(draw_people(image, people, metadata.skeleton), 420))
    titles = (
        "1 image and box",
        f"2 crop, {height}×{width}",
        "3 one heatmap per keypoint",
        f"all {len(metadata.skeleton)} heatmaps",
        "4 keypoints",
    )
    notes = (
        "detected or labeled",
        "one affine transform",
        f"left shoulder, {height // 4}×{width // 4}",
        "maximum of each cell",
        "decoded, mapped back",
    )
    for panel, title, note in zip(panels, titles, notes, strict=True):
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set_visible(False)
        panel.set_title(title, loc="left", fontsize=14)
        panel.set_xlabel(note, fontsize=12, color=GRAY, loc="left")
    figure.tight_layout(w_pad=1.2)
    figure.savefig(folder / "pipeline.jpg", dpi=90, bbox_inches="tight", pil_kwargs={"quality": 88})
    plt.close(figure)
    return {}


def _heat(panel: Axes, values: NDArray[np.float32]) -> None:
    panel.imshow(values, cmap="inferno", vmin=0)


def _small(image: Image, side: int) -> Image:
    """Shrink an image for the page."""
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
