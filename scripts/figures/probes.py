"""Connections, sizes and receptive fields of a network, measured by running it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from rsn.models.network import PoseNetwork
from rsn.models.residual_steps import ResidualStepsBlock
from rsn.models.stages import DownsamplingPath, Stage
from rsn.weights.transfer import create_model

Wires = dict[tuple[str, str], slice]  # (from, to) -> channels of the first


def evenly_weighted(module: nn.Module) -> nn.Module:
    """Return a copy in double precision whose convolutions average their input, so that no paths cancel."""
    module = deepcopy(module).double().eval()
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
    return module


def upright(module: nn.Module) -> nn.Module:
    """Return an `evenly_weighted` copy with convolutions of one column, for inputs that are one pixel wide."""
    module = evenly_weighted(module)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight = nn.Parameter(layer.weight[..., :1] * layer.kernel_size[1])
            layer.stride, layer.padding = (layer.stride[0], 1), (layer.kernel_size[0] // 2, 0)
    return module


def wires(run: Callable[[Tensor], Any], units: Mapping[str, nn.Module], x: Tensor) -> Wires:
    """Return the direct connections between the units of a module, which `run` runs.

    Each unit's output is detached while the module runs, so that a gradient reaches from a unit's input only to the
    units directly before it. "input" is x. On the meta device all channels count.
    """
    sources = {"input": x.detach().requires_grad_()}
    found: Wires = {}

    def arrives(name: str, arguments: tuple[Any, ...]) -> None:
        total = torch.stack([value.sum() for value in _tensors(arguments)]).sum()
        slopes = torch.autograd.grad(total, list(sources.values()), retain_graph=True, allow_unused=True)
        for source, slope in zip(sources, slopes, strict=True):
            if slope is not None and slope.is_meta:
                found[source, name] = slice(None)
            elif slope is not None and slope.any():
                used = slope.abs().sum((0, 2, 3)).nonzero()[:, 0]
                found[source, name] = slice(int(used[0]), int(used[-1]) + 1)

    def leaves(name: str, output: Tensor) -> Tensor:
        sources[name] = output.detach().requires_grad_()
        return sources[name].clone()  # layers may work in place

    hooks = []
    for name, unit in units.items():
        first, last = _ends(unit)
        hooks.append(first.register_forward_pre_hook(lambda _, given, name=name: arrives(name, given)))
        hooks.append(last.register_forward_hook(lambda _, __, output, name=name: leaves(name, output)))
    arrives("output", (run(sources["input"]),))
    for hook in hooks:
        hook.remove()
    return found


def _ends(unit: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Return the modules where data enter and leave; the blocks of a layer may be called one by one."""
    return (unit[0], unit[-1]) if isinstance(unit, nn.Sequential) else (unit, unit)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor) and value.requires_grad:
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def block_units(block: nn.Module) -> dict[str, nn.Module]:
    """Return the convolutions of a residual steps block by name: split, step 1.1 to 4.4, merge, shortcut."""
    assert isinstance(block, ResidualStepsBlock)
    units: dict[str, nn.Module] = {"split": block.split}
    for branch, steps in enumerate(block.steps, start=1):
        units |= {f"{branch}.{number}": step for number, step in enumerate(steps.children(), start=1)}
    return units | {"merge": block.merge, "shortcut": block.shortcut}


def stage_units(stage: Stage) -> dict[str, nn.Module]:
    """Return the parts of a stage by name; levels count from coarse to fine."""
    units: dict[str, nn.Module] = {f"layer {number}": layer for number, layer in enumerate(stage.down.layers, 1)}
    units |= {f"up {level}": unit for level, unit in enumerate(stage.up)}
    units |= {f"head {level}": unit for level, unit in enumerate(stage.heads)}
    units |= {f"skip {level}": unit for level, unit in enumerate(stage.skips)}
    return units | ({"start": stage.start_next} if stage.start_next is not None else {})


@contextmanager
def outputs(units: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs of the units while the block of code runs."""
    seen: dict[str, Tensor] = {}

    def keep(name: str, output: Tensor) -> None:
        seen[name] = output

    hooks = [
        _ends(unit)[1].register_forward_hook(lambda _, __, output, name=name: keep(name, output))
        for name, unit in units.items()
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def network_units(model: PoseNetwork) -> dict[str, nn.Module]:
    """Return the parts of a network by stage and name: "1 layer 1" to "4 head 3"; the stem is in stage 1."""
    units: dict[str, nn.Module] = {"1 stem": model.stem}
    for number, stage in enumerate(model.stages, start=1):
        assert isinstance(stage, Stage)
        units |= {f"{number} {name}": unit for name, unit in stage_units(stage).items()}
    return units


def network_sizes_and_wires(name: str, size: tuple[int, int]) -> tuple[dict[str, tuple[int, int, int]], Wires]:
    """Return (channels, height, width) of every part of a named network, and the connections between parts.

    The network is on PyTorch's meta device, so nothing is computed.
    """
    with torch.device("meta"):
        model = create_model(name).eval()
        units = network_units(model)
        with outputs(units) as seen:
            found = wires(model.heatmaps, units, torch.empty(1, 3, *size))
    return {key: (value.shape[1], value.shape[2], value.shape[3]) for key, value in seen.items()}, found


def reach(output: Tensor, source: Tensor, channels: slice = slice(None)) -> Tensor:
    """Return the influence of each row of `source` on the middle row of `output`: (height of source,).

    channels: of the source.
    """
    middle = output[..., output.shape[-2] // 2, :].sum()
    (slope,) = torch.autograd.grad(middle, source, retain_graph=True)
    return slope[:, channels].abs().sum((0, 1, 3))


def extent(weights: Tensor) -> int:
    """Return the distance from the first to the last nonzero value, both included; 0 if all are zero."""
    used = weights.nonzero()[:, 0]
    return int(used[-1] - used[0]) + 1 if len(used) else 0


def step_views(block: nn.Module) -> dict[str, list[Tensor]]:
    """Return, for each step of a residual steps block, the influence of the rows of each chunk on one cell."""
    probe = evenly_weighted(block)
    assert isinstance(probe, ResidualStepsBlock)
    units = block_units(probe)
    with outputs(units) as seen:
        probe(torch.ones(1, probe.split.conv.in_channels, 33, 33, dtype=torch.float64))
    chunks = [slice(i * probe.width, (i + 1) * probe.width) for i in range(len(probe.steps))]
    return {
        name: [reach(seen[name][..., 16:17], seen["split"], chunk) for chunk in chunks] for name in units if "." in name
    }


def block_field(block: nn.Module) -> int:
    """Return the height of the receptive field of a block, in cells."""
    probe = evenly_weighted(block)
    channels = next(layer for layer in probe.modules() if isinstance(layer, nn.Conv2d)).in_channels
    x = torch.ones(1, channels, 65, 33, dtype=torch.float64, requires_grad=True)
    return extent(reach(probe(x)[..., 16:17], x))


def layer_fields(name: str) -> list[int]:
    """Return the height of the receptive field, in input pixels, after each layer of the first stage.

    The input is one pixel wide and grows until it is longer than the largest field; fields are square.
    """
    model = create_model(name)
    down = model.stages[0].down
    assert isinstance(down, DownsamplingPath)
    stem, down = upright(model.stem), upright(down)
    # Max pooling has a gradient for one cell only; for the receptive field all cells count.
    stem.pool = nn.AvgPool2d((3, 1), stride=(2, 1), padding=(1, 0))
    height, fields = 128, [128]
    while max(fields) > height - 64:  # the middle cell may be up to 32 pixels off the center
        height *= 2
        x = torch.ones(1, 3, height, 1, dtype=torch.float64, requires_grad=True)
        features = down(stem(x), ())
        fields = [extent(reach(feature, x)) for feature in reversed(features)]
    return fields
