"""Coordinates of pixels, crops and heatmap cells."""

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from figures.style import BLUE, GRAY, GREEN, INK, ORANGE, PALE, PINK, save
from figures.tables import Table
from rsn.codecs import MegviiCodec, UnbiasedCodec
from rsn.codecs.heatmap import STRIDE
from rsn.geometry import Crop, Region

IMAGE = (480, 640)  # height, width of the drawn example
BOX = (380.0, 120.0, 150.0, 300.0)
SIZE, BBOX_PADDING = (256, 192), (1.09, 1.135)


def draw(folder: Path) -> dict[str, Table]:
    """Draw pixels.svg, crop.svg and flip.svg; return the table of the crop."""
    _draw_pixels(folder)
    regions = {
        "box": Region.from_box(BOX),
        "padded": Region.from_box(BOX).scaled(*BBOX_PADDING),
        "at the input aspect ratio": Region.from_box(BOX).scaled(*BBOX_PADDING).fit_aspect(SIZE),
    }
    _draw_crop(folder, regions)
    _draw_flip(folder)
    rows = [
        [
            name,
            f"({region.center[0]:g}, {region.center[1]:g})",
            f"{region.extent[0]:.2f} × {region.extent[1]:.2f}",
        ]
        for name, region in regions.items()
    ]
    return {"crop": [["region", "center", "width × height"], *rows]}


def _draw_pixels(folder: Path) -> None:
    """Draw twelve input pixels, their three cells, and the center of a cell in each codec."""
    figure, axes = plt.subplots(figsize=(11, 3.4))
    cells = 3
    for pixel in range(cells * STRIDE):
        axes.add_patch(plt.Rectangle((pixel - 0.5, 0), 1, 1, facecolor="white", edgecolor=GRAY))
        axes.plot(pixel, 0.5, "o", color=INK, ms=4)
        axes.text(pixel, -0.45, str(pixel), ha="center", fontsize=12)
    for cell in range(cells):
        left = cell * STRIDE - 0.5
        axes.add_patch(plt.Rectangle((left, 1.3), STRIDE, 0.9, facecolor=PALE, edgecolor=GRAY))
        axes.text(left + 0.15, 2.02, f"cell {cell}", fontsize=11, va="top")
        for codec, color, height in ((UnbiasedCodec, GREEN, 1.75), (MegviiCodec, BLUE, 1.5)):
            x = cell * STRIDE + codec.cell_center
            axes.plot([x, x], [0.5, height], color=color, lw=1.2, ls=":")
            axes.plot(x, height, "D", color=color, ms=9)
            if cell == cells - 1:
                text = "unbiased" if codec is UnbiasedCodec else "megvii, mmpose"
                axes.text(11.8, height, f"{text}: {STRIDE}j + {codec.cell_center:g}", color=color, va="center")
    axes.text(11.8, 0.5, "input pixels", va="center")
    axes.text(11.8, -0.37, "coordinate x", va="center")
    axes.set(xlim=(-0.8, 15.6), ylim=(-0.7, 2.35))
    axes.axis("off")
    save(figure, folder, "pixels")


def _draw_crop(folder: Path, regions: dict[str, Region]) -> None:
    figure, (image, crop_axes) = plt.subplots(1, 2, figsize=(11, 5), width_ratios=[2.1, 1])
    _frame(image, IMAGE, "image, pixels")
    for (name, region), color in zip(regions.items(), (ORANGE, GRAY, BLUE), strict=True):
        width, height = region.extent
        corner = (region.center[0] - width / 2, region.center[1] - height / 2)
        dash = ":" if name == "padded" else "-"
        image.add_patch(plt.Rectangle(corner, width, height, fill=False, ec=color, lw=2.2, ls=dash, label=name))
    center = regions["box"].center
    image.plot(*center, "+", color=INK, ms=14, mew=2)
    image.text(center[0], center[1] + 36, f"({center[0]:g}, {center[1]:g})", fontsize=11, ha="center")
    image.legend(loc="upper left", fontsize=12)
    _frame(crop_axes, SIZE, "input, pixels")
    crop = Crop.from_box(BOX, SIZE, BBOX_PADDING)
    (x0, y0), (x1, y1) = crop.to_input([[BOX[0], BOX[1]], [BOX[0] + BOX[2], BOX[1] + BOX[3]]])
    crop_axes.add_patch(plt.Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ec=ORANGE, lw=2.2))
    middle = crop.to_input(center)
    crop_axes.plot(*middle, "+", color=INK, ms=14, mew=2)
    crop_axes.text(middle[0] + 8, middle[1] - 5, f"({middle[0]:g}, {middle[1]:g})", fontsize=11)
    crop_axes.spines[:].set_color(BLUE)
    crop_axes.spines[:].set_linewidth(2.2)
    figure.tight_layout()
    save(figure, folder, "crop")


def _frame(axes: Axes, size: tuple[int, int], title: str) -> None:
    height, width = size
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal", title=title)
    axes.spines[:].set_visible(True)
    axes.set(xticks=[0, width - 1], yticks=[0, height - 1])


def _draw_flip(folder: Path) -> None:
    """Draw the position of a keypoint that is decoded from a flipped crop."""
    pixels, cell = 16, 1
    last = pixels // STRIDE - 1
    figure, panels = plt.subplots(2, 1, figsize=(10, 4.6))
    for panel, codec, color in zip(panels, (MegviiCodec, UnbiasedCodec), (BLUE, GREEN), strict=True):
        middle = codec.cell_center
        for pixel in range(pixels):
            panel.add_patch(plt.Rectangle((pixel - 0.5, 0), 1, 0.6, facecolor="white", edgecolor=GRAY))
            panel.text(pixel, 0.3, str(pixel), ha="center", va="center", fontsize=10, color=GRAY)
        keypoint = STRIDE * cell + middle
        flipped = pixels - 1 - keypoint
        back = STRIDE * (last - (flipped - middle) / STRIDE) + middle
        shifted = back + STRIDE
        marks = (
            (keypoint, "crop", color, 0.72),
            (back, "flipped crop", PINK, 1.12),
            (shifted, "shifted by one cell", GRAY, 0.72),
        )
        for x, text, shade, y in marks:
            panel.plot([x, x], [0.6, y + 0.05], color=shade, lw=1.6)
            panel.plot(x, y + 0.05, "v", color=shade, ms=10)
            left = text == "crop"
            panel.text(
                x + (-0.3 if left else 0.3),
                y + 0.1,
                f"{text}: {x:g}",
                color=shade,
                va="center",
                ha="right" if left else "left",
            )
        panel.set(xlim=(-0.7, 16), ylim=(-0.1, 1.4))
        panel.set_title(f"{codec.name}: cell j at {STRIDE}j + {middle:g}, keypoint at {keypoint:g}")
        panel.axis("off")
    figure.tight_layout()
    save(figure, folder, "flip")
