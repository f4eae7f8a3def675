"""The targets of the loss, and the Pose Refine Machine."""

from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from figures.pipeline import person_and_maps
from figures.probes import outputs
from figures.style import BLUE, GRAY, INK, ORANGE, PALE, arrow, box, canvas, save
from figures.tables import Table
from rsn.codecs import MegviiCodec
from rsn.codecs.heatmap import KERNEL_SIZES
from rsn.models.prm import PoseRefineMachine
from rsn.skeletons import COCO_17
from rsn.training.losses import PoseLoss

STAGES, LEVELS, KEYPOINTS, SIZE = 3, 4, 17, (256, 192)
MACHINES = 100


def draw(folder: Path) -> dict[str, Table]:
    """Draw supervision.svg, ohkm.svg and refine.svg; return their tables."""
    used, weights = targets_and_weights()
    _draw_supervision(folder, used, weights)
    _draw_hard_keypoints(folder)
    _draw_refine(folder)
    header = ["", *(f"level {level}" for level in range(LEVELS))]
    rows = [
        ["last stage" if stage == STAGES - 1 else f"stage {stage + 1}"]
        + [f"{KERNEL_SIZES[index]} × {weight:g}" for index, weight in zip(used[stage], weights[stage], strict=True)]
        for stage in range(STAGES)
    ]
    gains = gain()
    refine = [
        ["", "lowest", "highest"],
        ["factor on the transformed heatmap", f"{gains[0]:.2f}", f"{gains[1]:.2f}"],
    ]
    return {"supervision": [header, *rows], "refine": refine}


def targets_and_weights() -> tuple[list[list[int]], list[list[float]]]:
    """Return, by stage and level, the index of the target and the weight in the loss."""
    targets = torch.rand(2, len(KERNEL_SIZES), KEYPOINTS, 8, 6)
    visible = torch.full((2, KEYPOINTS), 2)
    # Predict one of the targets everywhere: the loss is zero at the levels that use this target.
    distances = [PoseLoss().terms([[target] * LEVELS] * STAGES, targets, visible) for target in targets.unbind(1)]
    used = torch.stack(distances).argmin(0).tolist()
    off_by_one = [[torch.ones(2, KEYPOINTS, 8, 6)] * LEVELS] * STAGES
    terms = PoseLoss().terms(off_by_one, torch.zeros(2, len(KERNEL_SIZES), KEYPOINTS, 8, 6), visible)
    return used, terms.tolist()


def gain() -> tuple[float, float]:
    """Return the lowest and the highest factor of Pose Refine Machines with random weights."""
    torch.manual_seed(0)
    lowest, highest = torch.inf, 0.0
    for _ in range(MACHINES):
        machine = PoseRefineMachine(KEYPOINTS, shared_spatial_attention=False)
        for norm in (layer for layer in machine.modules() if isinstance(layer, nn.BatchNorm2d)):
            nn.init.normal_(norm.weight, std=4.0)
            nn.init.normal_(norm.bias, std=4.0)
        units: dict[str, nn.Module] = {"transform": machine.transform}
        with torch.inference_mode(), outputs(units) as seen:
            out = machine(torch.randn(4, KEYPOINTS, 16, 12))
        given = seen["transform"]
        factors = out[given > 1e-3] / given[given > 1e-3]
        lowest, highest = min(lowest, factors.min().item()), max(highest, factors.max().item())
    return lowest, highest


def _draw_supervision(folder: Path, used: list[list[int]], weights: list[list[float]]) -> None:
    keypoint, seen = torch.tensor([[[94.0, 94.0]]]), torch.tensor([[2]])
    maps = MegviiCodec().encode(keypoint, seen, (192, 192))[0, :, 0, 12:36, 12:36]
    figure, panels = plt.subplots(STAGES, LEVELS, figsize=(9, 7.6))
    for stage, row in enumerate(panels):
        for level, panel in enumerate(row):
            index, weight = used[stage][level], weights[stage][level]
            panel.imshow(maps[index], cmap="Blues", vmin=0, vmax=255)
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(True)
            panel.spines[:].set_color(PALE)
            panel.set_title(f"kernel {KERNEL_SIZES[index]}", fontsize=12, fontweight="normal", loc="center")
            hard = level == LEVELS - 1
            text = f"weight {weight:g}" + (", hard keypoints" if hard else "")
            panel.set_xlabel(text, fontsize=11, color=ORANGE if hard else INK)
        name = "last stage" if stage == STAGES - 1 else f"stage {stage + 1}"
        row[0].set_ylabel(name, fontsize=13, fontweight="bold")
    for level, panel in enumerate(panels[0]):
        panel.annotate(
            f"level {level}, 1/{32 >> level}",
            (0.5, 1.24),
            xycoords="axes fraction",
            ha="center",
            fontweight="bold",
        )
    figure.tight_layout(h_pad=1.6)
    save(figure, folder, "supervision")


def _draw_hard_keypoints(folder: Path) -> None:
    """Draw the error of each keypoint at the finest level, and which keypoints have a gradient."""
    person, maps = person_and_maps()
    keypoints = torch.from_numpy(person).float()[None]
    target = MegviiCodec().encode(keypoints, torch.full((1, KEYPOINTS), 2), SIZE)
    prediction = maps.clone().requires_grad_()
    PoseLoss().terms([[prediction] * LEVELS], target, torch.full((1, KEYPOINTS), 2))[0, -1].backward()
    assert prediction.grad is not None
    counted = prediction.grad.flatten(2).any(-1)[0]
    errors = (maps - target[:, -1]).square().mean((-2, -1))[0]
    order: Tensor = errors.argsort(descending=True)
    figure, axes = plt.subplots(figsize=(9, 3.8))
    colors = [ORANGE if counted[keypoint] else PALE for keypoint in order]
    axes.bar(range(KEYPOINTS), errors[order], color=colors)
    axes.set_xticks(
        range(KEYPOINTS),
        [COCO_17.keypoint_names[keypoint].replace("_", " ") for keypoint in order],
        rotation=40,
        ha="right",
    )
    axes.set_ylabel("mean squared error")
    axes.text(
        0.98,
        0.9,
        f"{int(counted.sum())} of {KEYPOINTS} keypoints count in this step",
        ha="right",
        transform=axes.transAxes,
        color=ORANGE,
        fontsize=13,
    )
    save(figure, folder, "ohkm")


def _draw_refine(folder: Path) -> None:
    machine = PoseRefineMachine(KEYPOINTS, shared_spatial_attention=False)
    figure, axes = canvas(11.3, 4.0)

    def layer(unit: nn.Module) -> str:
        (conv,) = (part for part in unit.modules() if isinstance(part, nn.Conv2d))
        kernel = conv.kernel_size[0]
        return f"{kernel}×{kernel}" + (" depthwise" if conv.groups > 1 else "")

    box(axes, (0.8, 2.0), (1.3, 0.8), f"heatmaps\n{KEYPOINTS}", ORANGE)
    box(axes, (2.75, 2.0), (1.2, 0.8), f"{layer(machine.transform)}", BLUE)
    paths = (
        (3.3, "spatial mean", machine.channel, f"{KEYPOINTS} numbers"),
        (0.7, "", machine.spatial, f"{KEYPOINTS} maps"),
    )
    for y, first, unit, result in paths:
        parts = [first] * bool(first) + [layer(part) for part in unit] + ["sigmoid"]
        x = 4.2
        arrow(axes, (3.35, 2.0 + (0.2 if y > 2 else -0.2)), (x, y))
        for part in parts:
            size = 0.34 + 0.1 * len(part)
            box(axes, (x + size / 2, y), (size, 0.56), part, GRAY, fontsize=10)
            x += size
            if part != parts[-1]:
                arrow(axes, (x, y), (x + 0.3, y))
                x += 0.3
        axes.text(9.9, y + (0.12 if y > 2 else -0.3), result, fontsize=11, color=GRAY)
        axes.plot([x, 9.7], [y, y], color=INK, lw=1.4)
        arrow(axes, (9.7, y), (9.7, 2.0 + (0.4 if y > 2 else -0.4)))
    arrow(axes, (1.45, 2.0), (2.15, 2.0))
    arrow(axes, (3.35, 2.0), (8.85, 2.0))
    axes.text(5.6, 2.1, "o", fontsize=13, style="italic")
    box(axes, (9.7, 2.0), (1.7, 0.8), "o · (1 + a · b)", BLUE, fontsize=12)
    axes.text(9.45, 2.75, "a", style="italic", fontsize=13)
    axes.text(9.45, 1.1, "b", style="italic", fontsize=13)
    arrow(axes, (10.55, 2.0), (11.25, 2.0))
    save(figure, folder, "refine")
