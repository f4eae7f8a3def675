"""How the figures look: one font size, few colors, a white background for light and dark pages."""

from pathlib import Path

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

INK, GRAY, PALE = "#1b2733", "#7b8794", "#e4e8ec"
# Distinct with every common kind of color blindness (Okabe and Ito).
BLUE, GREEN, ORANGE, PINK, SKY = "#0072b2", "#009e73", "#d55e00", "#b8528c", "#56b4e9"
BRANCHES = (BLUE, GREEN, ORANGE, PINK)
CODECS = {"megvii": BLUE, "mmpose": ORANGE, "unbiased": GREEN}

Point = tuple[float, float]

plt.rcParams.update(
    {
        "svg.hashsalt": "rsn",  # the same ids in every run
        "font.size": 12,
        "font.family": "DejaVu Sans",  # included in matplotlib
        "text.color": INK,
        "axes.edgecolor": GRAY,
        "axes.labelcolor": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 13,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "xtick.color": INK,
        "ytick.color": INK,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        "legend.frameon": False,
    }
)


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write folder/name.svg; the same figure gives the same bytes."""
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight", pad_inches=0.15)
    plt.close(figure)


def canvas(width: float, height: float, *, inch: float = 1.0) -> tuple[Figure, Axes]:
    """Create an empty drawing with coordinates from (0, 0) at the bottom left to (width, height)."""
    figure, axes = plt.subplots(figsize=(width * inch, height * inch))
    axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    axes.axis("off")
    figure.subplots_adjust(0, 0, 1, 1)
    return figure, axes


def box(
    axes: Axes,
    middle: Point,
    size: Point,
    text: str = "",
    color: str = GRAY,
    *,
    fontsize: float = 11,
    rotation: float = 0,
    strong: bool = False,
) -> None:
    """Draw a rounded box with text; a strong one is filled with its color."""
    corner = (middle[0] - size[0] / 2, middle[1] - size[1] / 2)
    face = color if strong else _tint(color)
    axes.add_patch(
        FancyBboxPatch(
            corner,
            *size,
            boxstyle="round,pad=0,rounding_size=0.07",
            facecolor=face,
            edgecolor=color,
            linewidth=1.4,
        )
    )
    axes.text(
        *middle,
        text,
        ha="center",
        va="center",
        fontsize=fontsize,
        rotation=rotation,
        color="white" if strong else INK,
        linespacing=1.25,
    )


def arrow(
    axes: Axes,
    start: Point,
    end: Point,
    color: str = INK,
    *,
    bend: float = 0.0,
    width: float = 1.4,
    dashed: bool = False,
) -> None:
    """Draw an arrow from start to end; bend is its curvature relative to its length."""
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=11,
            color=color,
            linewidth=width,
            connectionstyle=f"arc3,rad={bend}",
            shrinkA=0,
            shrinkB=0,
            linestyle="--" if dashed else "-",
        )
    )


def plus(axes: Axes, middle: Point, color: str = INK) -> None:
    """Draw the symbol of a sum."""
    axes.plot(*middle, marker="o", markersize=14, markerfacecolor="white", markeredgecolor=color)
    axes.text(*middle, "+", ha="center", va="center_baseline", fontsize=13, color=color)


def _tint(color: str) -> tuple[float, float, float]:
    red, green, blue = matplotlib.colors.to_rgb(color)
    return (0.86 + 0.14 * red, 0.86 + 0.14 * green, 0.86 + 0.14 * blue)
