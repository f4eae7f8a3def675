"""The residual steps block: its connections and the receptive fields of its branches."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes

from figures.probes import block_field, block_units, evenly_weighted, extent, layer_fields, step_views, wires
from figures.style import BLUE, BRANCHES, GRAY, INK, ORANGE, PINK, Point, arrow, box, canvas, plus, save
from figures.tables import Table
from rsn.models.bottleneck import bottleneck, plain_bottleneck
from rsn.models.residual_steps import ResidualStepsBlock, residual_steps
from rsn.weights.published import MEASURED_COMPLEXITY

CHANNELS = 64  # the blocks of the first layer are drawn
NETWORKS = {"res18": GRAY, "rsn18": BLUE, "mspn50": ORANGE, "rsn50": PINK}


def draw(folder: Path) -> dict[str, Table]:
    """Draw block.svg, fields.svg and depth.svg; return their tables."""
    block = residual_steps(CHANNELS, CHANNELS)
    views = {name: [extent(view) for view in rows] for name, rows in step_views(block).items()}
    _draw_block(folder, block, views)
    _draw_fields(folder, views)
    depths = {name: layer_fields(name) for name in NETWORKS}
    _draw_depths(folder, depths)
    return {"branches": _branch_table(views), "blocks": _block_table(views), "layers": _layer_table(depths)}


def _branch_table(views: dict[str, list[int]]) -> Table:
    count = len(next(iter(views.values())))
    header = ["end of branch", *(f"chunk {chunk}" for chunk in range(1, count + 1))]
    rows = [[str(b), *(str(field or "-") for field in views[f"{b}.{b}"])] for b in range(1, count + 1)]
    return [header, *rows]


def _block_table(views: dict[str, list[int]]) -> Table:
    sizes = sorted({1, *(field for b in range(1, 5) for field in views[f"{b}.{b}"] if field)})
    assert block_field(residual_steps(CHANNELS, CHANNELS)) == sizes[-1]
    plain = block_field(plain_bottleneck(CHANNELS, CHANNELS)), block_field(bottleneck(4 * CHANNELS, CHANNELS))
    rows = [
        ["`rsn18`, `rsn50`", ", ".join(map(str, sizes))],
        ["`res18`", f"1, {plain[0]}"],
        ["`mspn50`", f"1, {plain[1]}"],
    ]
    return [["block of", "receptive fields of its paths, in cells"], *rows]


def _layer_table(depths: dict[str, list[int]]) -> Table:
    header = ["network", "GMACs", *(f"after layer {number}" for number in (1, 2, 3, 4))]
    return [
        header,
        *(
            [f"`{name}`", f"{MEASURED_COMPLEXITY[name].multiply_adds / 1e9:.2f}", *map(str, row)]
            for name, row in depths.items()
        ),
    ]


def _position(unit: str) -> Point:
    positions = {
        "input": (0.25, 5.6),
        "split": (1.35, 2.8),
        "merge": (9.0, 2.8),
        "shortcut": (5.2, 5.6),
        "output": (10.75, 2.8),
    }
    if unit in positions:
        return positions[unit]
    branch, step = map(int, unit.split("."))
    return (1.9 + 1.5 * step, 5.75 - 1.15 * branch - 0.1)


def _draw_block(folder: Path, block: ResidualStepsBlock, views: dict[str, list[int]]) -> None:
    probe = evenly_weighted(block)
    found = wires(probe, block_units(probe), torch.ones(1, CHANNELS, 16, 16, dtype=torch.float64))
    figure, axes = canvas(11.3, 6.3)
    for (source, target), channels in found.items():
        _wire(axes, source, target, channels)
    width = block.width
    box(
        axes,
        _position("split"),
        (0.75, 4.6),
        f"1×1 convolution   {CHANNELS} → {len(block.steps)} · {width}",
        rotation=90,
    )
    merged = f"1×1 convolution   {len(block.steps)} · {width} → {CHANNELS}"
    box(axes, _position("merge"), (0.75, 4.6), merged, rotation=90)
    identity = isinstance(block.shortcut, torch.nn.Identity)
    box(axes, _position("shortcut"), (2.2, 0.5), "shortcut" + (": identity" if identity else ": 1×1"))
    for name, fields in views.items():
        color = BRANCHES[int(name[0]) - 1]
        text = " ".join(str(field) for field in sorted(filter(None, fields)))
        box(axes, _position(name), (1.12, 0.66), f"3×3\n{text}", color, strong=name[0] == name[2])
    axes.text(0.0, 5.83, f"{CHANNELS} channels", fontsize=11)
    plus(axes, (10.1, 2.8))
    axes.text(10.45, 2.95, "ReLU", fontsize=11)
    axes.text(
        5.2,
        0.12,
        "second line of a step: its receptive fields in the chunks that it depends on, in cells",
        ha="center",
        color=GRAY,
    )
    save(figure, folder, "block")


def _wire(axes: Axes, source: str, target: str, channels: slice) -> None:
    (x0, y0), (x1, y1) = _position(source), _position(target)
    if source == "input":
        if target == "split":
            axes.plot([0.0, 0.45, 0.45], [y0, y0, y1], color=INK, lw=1.4)
            arrow(axes, (0.45, y1), (x1 - 0.375, y1))
        else:
            arrow(axes, (0.45, y0), (x1 - 1.1, y1))
    elif target == "output":
        if source == "merge":
            arrow(axes, (x0 + 0.375, y0), (9.9, y0))
            arrow(axes, (10.3, y0), (11.2, y0))
        else:
            axes.plot([x0 + 1.1, 10.1], [y0, y0], color=INK, lw=1.4)
            arrow(axes, (10.1, y0), (10.1, 3.02))
    elif source == "split":
        number = channels.start // (channels.stop - channels.start)
        arrow(axes, (x0 + 0.375, y1), (x1 - 0.56, y1), BRANCHES[number])
        axes.text(x0 + 0.46, y1 + 0.07, f"{channels.start}-{channels.stop - 1}", fontsize=9, color=GRAY)
    elif target == "merge":
        arrow(axes, (x0 + 0.56, y0), (x1 - 0.375, y0), BRANCHES[int(source[0]) - 1])
    elif source[0] == target[0]:
        arrow(axes, (x0 + 0.56, y0), (x1 - 0.56, y1), BRANCHES[int(source[0]) - 1])
    else:
        arrow(axes, (x0, y0 - 0.33), (x1, y1 + 0.33), BRANCHES[int(source[0]) - 1])


def _draw_fields(folder: Path, views: dict[str, list[int]]) -> None:
    """Draw the receptive field of each branch in each chunk, and those of the bottlenecks."""
    groups = [
        (
            f"end of branch {b}",
            [(f"chunk {c}", field, BRANCHES[c - 1]) for c, field in enumerate(views[f"{b}.{b}"], 1) if field],
        )
        for b in range(1, 5)
    ]
    for name, block in (
        ("res18", plain_bottleneck(CHANNELS, CHANNELS)),
        ("mspn50", bottleneck(4 * CHANNELS, CHANNELS)),
    ):
        groups.append((f"block of {name}", [("all", block_field(block), GRAY)]))
    rows = [(title if first == 0 else "", *bar) for title, bars in groups for first, bar in enumerate(bars)]
    figure, axes = plt.subplots(figsize=(9, 5.2))
    y = 0.0
    for title, source, field, color in rows:
        y -= 1.7 if title else 1.0
        axes.barh(y, field, 0.8, left=-field / 2, color=color)
        axes.text(0, y, str(field), ha="center", va="center", color="white", fontweight="bold")
        axes.text(-field / 2 - 0.25, y, source, ha="right", va="center", fontsize=11, color=color)
        axes.text(-16.5, y, title, va="center", fontsize=12)
    axes.set(xlim=(-16.7, 8), yticks=[], xticks=range(-7, 8), xlabel="distance in cells")
    axes.xaxis.set_label_coords(0.675, -0.08)
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_bounds(-7.5, 7.5)
    save(figure, folder, "fields")


def _draw_depths(folder: Path, depths: dict[str, list[int]]) -> None:
    figure, axes = plt.subplots(figsize=(8.5, 4))
    for number, (name, fields) in enumerate(depths.items()):
        x = np.arange(len(fields)) + (number - 1.5) * 0.2
        axes.bar(x, fields, 0.19, color=NETWORKS[name], label=name)
        for left, field in zip(x, fields, strict=True):
            axes.text(left, field * 1.05, str(field), ha="center", fontsize=9)
    axes.axhline(256, color=INK, lw=1.2, ls="--")
    axes.text(-0.47, 275, "height of the input: 256", fontsize=10)
    axes.set(
        yscale="log",
        ylim=(16, 6000),
        ylabel="receptive field, input pixels",
        yticks=[16, 64, 256, 1024, 4096],
    )
    axes.set_yticklabels(["16", "64", "256", "1024", "4096"])
    axes.minorticks_off()
    axes.set_xticks(range(4), [f"after layer {number}\n1/{4 * 2 ** (number - 1)}" for number in (1, 2, 3, 4)])
    axes.legend(loc="upper left", ncols=4)
    save(figure, folder, "depth")
