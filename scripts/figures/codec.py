"""Codecs: target heatmaps, and the error of decoding them."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from figures.style import CODECS, GRAY, INK, save
from figures.tables import Table
from rsn.codecs import HeatmapCodec, create_codec

SIZE = (256, 192)
KERNELS = {5: "COCO", 9: "MPII"}  # kernel size of the blur, and the dataset of weights that use it
STEPS = 32  # positions within a cell, along either axis
FIRST = 96.0  # input pixel, away from the border


def draw(folder: Path) -> dict[str, Table]:
    """Draw codec.svg; return tables of the error of a round trip and of the flip test."""
    _draw_round_trip(folder)
    return {"round trip": _round_trip_table(), "flip test": _flip_table()}


def positions() -> Tensor:
    """Return keypoints at evenly spaced positions within one cell: (STEPS², 1, 2), input pixels."""
    steps = FIRST + (torch.arange(STEPS, dtype=torch.float32) + 0.5) * 4 / STEPS
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 1, 2)


def codec_of(name: str, blur_kernel_size: int = 5) -> HeatmapCodec:
    """Create a codec with the finest level only."""
    codec = create_codec(name, blur_kernel_size=blur_kernel_size, kernel_sizes=(5,))
    assert isinstance(codec, HeatmapCodec)
    return codec


def targets(keypoints: Tensor, name: str) -> Tensor:
    """Return the targets of the finest level: (N, K, h, w)."""
    seen = torch.full(keypoints.shape[:2], 2)
    return codec_of(name).encode(keypoints, seen, SIZE)[:, 0]


def between_cells(keypoints: Tensor, name: str) -> Tensor:
    """Return Gaussians centered exactly on the keypoints, as an ideal network would predict them.

    The codec defines the position of a keypoint on the map.
    """
    return targets(keypoints - codec_of(name).cell_center + codec_of("unbiased").cell_center, "unbiased")


def _errors(maps: Tensor, keypoints: Tensor, name: str, kernel: int) -> Tensor:
    found, _ = codec_of(name, kernel).decode(maps.double())
    return (found - keypoints)[:, 0]


def _round_trip_table() -> Table:
    keypoints = positions()
    rows = []
    for heatmap, render in (("its own target", targets), ("an exact Gaussian", between_cells)):
        for name in CODECS:
            row = [heatmap, f"`{name}`"]
            for kernel in KERNELS:
                errors = _errors(render(keypoints, name), keypoints, name, kernel)
                distances = errors.norm(dim=-1)
                mean_x, mean_y = (
                    f"{value:+.2f}".replace("+0.00", "0.00").replace("-0.00", "0.00")
                    for value in errors.mean(0).tolist()
                )
                row.append(f"{distances.mean():.2f} / {distances.max():.2f} ({mean_x}, {mean_y})")
            rows.append(row)
    return [
        ["heatmap", "codec", *(f"kernel {kernel}, {dataset}" for kernel, dataset in KERNELS.items())],
        *rows,
    ]


def _flip_table() -> Table:
    """Return the mean error along x of the flip test of an ideal network."""
    keypoints = positions()
    flipped = torch.stack([SIZE[1] - 1 - keypoints[..., 0], keypoints[..., 1]], dim=-1)
    rows = []
    for name in CODECS:
        straight = between_cells(keypoints, name)
        back = codec_of(name).flip_back(between_cells(flipped, name), [0])
        predictions = (straight, back, (straight + back) / 2, (straight + back.roll(1, dims=-1)) / 2)
        errors = [_errors(maps, keypoints, name, 5)[:, 0].mean().item() for maps in predictions]
        rows.append([f"`{name}`", *(f"{error:.2f}".replace("-0.00", "0.00") for error in errors)])
    return [["codec", "crop", "flipped crop", "average", "average, shifted by one cell"], *rows]


def _draw_round_trip(folder: Path) -> None:
    figure, panels = plt.subplots(1, 3, figsize=(13, 4.2))
    _draw_targets(panels[0])
    keypoints = positions().view(STEPS, STEPS, 1, 2)[STEPS // 2 - 1]  # one row: x over the cell
    for panel, title, render in (
        (panels[1], "error on its own target", targets),
        (panels[2], "error on an exact Gaussian", between_cells),
    ):
        for name, color in CODECS.items():
            errors = _errors(render(keypoints, name), keypoints, name, 5)[:, 0]
            x = keypoints[:, 0, 0] - FIRST
            jumps = np.abs(np.diff(errors)) > 0.5
            shown = np.where(np.append(jumps, False), np.nan, errors)
            dashes = {"megvii": (0, ()), "mmpose": (0, (4, 2)), "unbiased": (0, ())}[name]
            panel.plot(x, shown, color=color, lw=2.5, ls=dashes, label=name)
        panel.axhline(0, color=GRAY, lw=0.8, zorder=0)
        panel.set(
            title=title,
            xlabel="keypoint's position in its cell, pixels",
            ylim=(-2.3, 2.3),
            xticks=range(5),
        )
        panel.set_ylabel("error along x, input pixels")
        panel.legend(loc="upper right", fontsize=11)
    figure.tight_layout(w_pad=2)
    save(figure, folder, "codec")


def _draw_targets(panel: plt.Axes) -> None:
    cell = int(FIRST) // 4
    for offset, dash in ((0.5, "-"), (3.5, "--")):
        keypoint = torch.tensor([[[FIRST + offset, FIRST]]])
        for name in ("megvii", "unbiased"):
            row = targets(keypoint, name)[0, 0].amax(0)[cell - 4 : cell + 5]
            panel.plot(
                range(-4, 5),
                row,
                dash,
                color=CODECS[name],
                marker="o",
                ms=5,
                label=f"{name}, keypoint at {offset} of 4",
            )
    panel.set(
        title="one row of the target",
        xlabel="distance from the keypoint, cells",
        yticks=[0, 255],
        xticks=range(-4, 5),
    )
    panel.set_ylim(0, 420)
    panel.legend(loc="upper left", fontsize=11, handlelength=2.2)
    panel.tick_params(colors=INK)
