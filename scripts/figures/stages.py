"""Stages and levels: one stage with its sizes, and a network of four stages."""

from pathlib import Path

from matplotlib.axes import Axes

from figures.probes import Wires, network_sizes_and_wires
from figures.style import BLUE, GRAY, GREEN, ORANGE, PINK, Point, arrow, box, canvas, save
from figures.tables import Table

SIZE = (256, 192)
Sizes = dict[str, tuple[int, int, int]]


def draw(folder: Path) -> dict[str, Table]:
    """Draw stage.svg and stages.svg; return the table of sizes."""
    one, one_wires = network_sizes_and_wires("rsn18", SIZE)
    four, four_wires = network_sizes_and_wires("4xrsn50", SIZE)
    _draw_stage(folder, one, one_wires)
    _draw_stages(folder, four, four_wires)
    return {"sizes": _table(one, four)}


def _table(one: Sizes, four: Sizes) -> Table:
    names = [name.split(" ", 1)[1] for name in four if name.startswith("1 ")]
    order = ("stem", "layer", "up", "head", "skip", "start")
    rows = [
        [_label(name), _text(one.get(f"1 {name}")), _text(four[f"1 {name}"])]
        for name in sorted(names, key=lambda name: (order.index(name.split()[0]), name))
    ]
    return [["part of the first stage", "`rsn18`", "`4xrsn50`"], *rows]


def _label(part: str) -> str:
    """Name a part in words."""
    kind, _, number = part.partition(" ")
    words = {"up": "upsampling", "skip": "cross-stage features", "start": "input of the next stage"}
    return f"{words.get(kind, kind)} {number}".rstrip()


def _text(size: tuple[int, int, int] | None) -> str:
    return "-" if size is None else f"{size[0]} of {size[1]}×{size[2]}"


def _draw_stage(folder: Path, sizes: Sizes, wires: Wires) -> None:
    positions: dict[str, Point] = {"1 stem": (1.2, 5.9)}
    colors = {"layer": BLUE, "up": GREEN, "head": ORANGE, "stem": GRAY}
    for level in range(4):
        y = 0.9 + 1.2 * level
        positions |= {
            f"1 layer {4 - level}": (4.0, y),
            f"1 up {level}": (6.7, y),
            f"1 head {level}": (9.4, y),
        }
    figure, axes = canvas(11.3, 6.6)
    axes.text(0.2, 6.45, f"input 3 of {SIZE[0]}×{SIZE[1]}", fontsize=11)
    for name, position in positions.items():
        part = name.split(" ", 1)[1]
        box(axes, position, (1.9, 0.72), f"{part}\n{_text(sizes[name])}", colors[part.split()[0]])
    for source, target in wires:
        if source in positions and target in positions:
            _wire(axes, positions[source], positions[target], (1.9, 0.72))
    for level in range(4):
        axes.text(0.2, 0.9 + 1.2 * level, f"1/{32 // 2**level} of the input", va="center", color=GRAY)
    for x, text in ((4.0, "downsampling path"), (6.7, "upsampling path"), (9.4, "heatmaps, all at 1/4")):
        axes.text(x, 5.15, text, ha="center", fontweight="bold")
    save(figure, folder, "stage")


def _draw_stages(folder: Path, sizes: Sizes, wires: Wires) -> None:
    count = max(int(name[0]) for name in sizes)
    figure, axes = canvas(13.4, 5.2)
    positions: dict[str, Point] = {"1 stem": (0.75, 4.25)}
    for stage in range(1, count + 1):
        left = 1.1 + 3.15 * (stage - 1)
        for level in range(4):
            y = 0.5 + 1.0 * level
            positions |= {
                f"{stage} layer {4 - level}": (left + 0.35, y),
                f"{stage} up {level}": (left + 1.35, y),
                f"{stage} head {level}": (left + 1.98, y + 0.3),
                f"{stage} skip {level}": (left + 2.25, y - 0.12),
            }
        positions[f"{stage} start"] = (left + 2.25, 4.25)
        axes.text(left + 0.85, 4.95, f"stage {stage}", ha="center", fontweight="bold")
    styles = {
        "layer": (BLUE, (0.66, 0.46)), "up": (GREEN, (0.66, 0.46)), "head": (ORANGE, (0.4, 0.26)),
        "skip": (PINK, (0.56, 0.3)), "stem": (GRAY, (0.62, 0.4)), "start": (PINK, (0.56, 0.3)),
    }  # fmt: skip
    for source, target in sorted(_merged(wires)):
        if source in positions and target in positions:
            part, end = source.split()[1], target.split()[1]
            size = styles[part][1]
            _short_wire(axes, positions[source], positions[target], size, styles[end][1], part, end)
    for name, position in positions.items():
        if name in sizes:
            color, size = styles[name.split()[1]]
            box(axes, position, size, str(sizes[name][0]), color, fontsize=9.5)
    for level in range(4):
        _, height, width = sizes[f"1 up {level}"]
        axes.text(0.05, 0.5 + 1.0 * level, f"{height}×{width}", va="center", color=GRAY)
    legend = (
        ("layer", "downsampling path"),
        ("up", "upsampling path"),
        ("head", "heatmaps"),
        ("skip", "cross-stage features"),
    )
    for number, (part, text) in enumerate(legend):
        x = 2.2 + 2.5 * number
        box(axes, (x, -0.25), (0.3, 0.22), "", styles[part][0])
        axes.text(x + 0.25, -0.25, text, va="center", fontsize=11)
    axes.set_ylim(-0.5, 5.2)
    save(figure, folder, "stages")


def _merged(wires: Wires) -> set[tuple[str, str]]:
    """Draw one arrow from cross-stage features to the layer whose output they are added to."""
    fed: dict[str, set[str]] = {}
    for source, target in wires:
        fed.setdefault(source, set()).add(target)
    drawn = set()
    for source, target in wires:
        if source.split()[1:2] != ["skip"]:
            drawn.add((source, target))
            continue
        beside = [name for name in fed if name.split()[1:2] == ["layer"] and fed[name] == fed[source]]
        drawn |= {(source, layer) for layer in beside} or {(source, target)}
    return drawn


def _wire(axes: Axes, start: Point, end: Point, size: Point) -> None:
    (x0, y0), (x1, y1) = start, end
    if x0 == x1:
        sign = 1 if y1 > y0 else -1
        arrow(axes, (x0, y0 + sign * size[1] / 2), (x1, y1 - sign * size[1] / 2))
    elif y0 == y1:
        arrow(axes, (x0 + size[0] / 2, y0), (x1 - size[0] / 2, y1))
    else:
        arrow(axes, (x0, y0 - size[1] / 2), (x1 - size[0] / 2, y1), bend=0.25)


def _short_wire(axes: Axes, start: Point, end: Point, size: Point, end_size: Point, part: str, to: str) -> None:
    (x0, y0), (x1, y1) = start, end
    if x0 == x1:
        _wire(axes, start, end, size)
    elif part == "layer" and to == "skip":
        arrow(axes, (x0 + 0.2, y0 - size[1] / 2), (x1 - end_size[0] / 2, y1 - 0.06), PINK, bend=0.13, width=1)
    elif to == "head":
        arrow(axes, (x0 + size[0] / 2, y0 + 0.12), (x1 - 0.1, y1 - end_size[1] / 2), bend=0.2, width=1)
    elif to in ("skip", "start") and part == "up":
        y = y0 + (size[1] / 2 if to == "start" else -0.08)
        x = x0 + (0 if to == "start" else size[0] / 2)
        arrow(axes, (x, y), (x1 - end_size[0] / 2, y1 + 0.04), PINK, bend=-0.25 if to == "start" else 0, width=1)
    elif part in ("skip", "start"):
        y = y1 + (end_size[1] / 2 if part == "start" else -0.1)
        arrow(
            axes,
            (x0 + size[0] / 2, y0),
            (x1 if part == "start" else x1 - end_size[0] / 2, y),
            PINK,
            bend=-0.3 if part == "start" else 0,
        )
    elif part == "stem":
        arrow(axes, (x0 + size[0] / 2, y0), (x1, y1 + end_size[1] / 2), bend=-0.3)
    else:
        arrow(axes, (x0 + size[0] / 2, y0), (x1 - end_size[0] / 2, y1))
