"""The output folder of a run: which recipe it belongs to, and the environment it ran in."""

import json
import platform
import subprocess
import sys
import warnings
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from rsn import __version__
from rsn.distributed import DistributedInfo
from rsn.errors import RecipeError, RsnWarning
from rsn.io.files import atomic_write, make_folder
from rsn.training.checkpoints import last_checkpoint, last_complete_checkpoint
from rsn.training.recipe import BaseRecipe, plain_settings, read_recipe_as, write_recipe

BEST, LAST = "best.safetensors", "last.safetensors"
LOGS = "logs"
RECIPE = "recipe.yaml"
ENVIRONMENT = "environment.json"
SAMPLES = "samples.jpg"
LIBRARIES = ("numpy", "opencv-python-headless", "lightning", "hotcoco")
# Settings that may differ when a run is resumed; the learning rates with a warning.
CHANGEABLE_SETTINGS = frozenset({"compute", "max_unreadable_fraction", "output"})
LEARNING_RATES = frozenset({"optimization.learning_rate", "optimization.muon_learning_rate"})


def open_folder(recipe: BaseRecipe, processes: DistributedInfo, *, resume: bool) -> Path | None:
    """Make a run's folder, or open it again; returns the checkpoint to resume from.

    The first process writes recipe.yaml and environment.json.

    Raises:
        RecipeError: the folder holds another run, holds a run and `resume` is false, or holds no run to resume.
        RsnError: the folder cannot be made or written to.
    """
    folder, checkpoint = recipe.output, None
    if resume:
        checkpoint = last_complete_checkpoint(folder)
        _check_same_run(recipe)
    else:
        check_unused(folder)
    make_folder(folder)
    if processes.rank == 0:
        atomic_write(folder / RECIPE, write_recipe(recipe).encode())
        atomic_write(folder / ENVIRONMENT, json.dumps(_environment(processes), indent=1).encode())
    return checkpoint


def check_unused(folder: Path) -> None:
    """Raise RecipeError if a folder holds a run or its weights."""
    if last_checkpoint(folder):
        raise RecipeError(f"{folder} holds a run; continue it with --resume, or choose another output folder")
    if any((folder / name).is_file() for name in (BEST, LAST)):
        raise RecipeError(f"{folder} holds the weights of a run; choose another output folder")


def _check_same_run(recipe: BaseRecipe) -> None:
    path = recipe.output / RECIPE
    if not path.is_file():
        return
    before, now = _flat_settings(read_recipe_as(type(recipe), path)), _flat_settings(recipe)
    changed = {
        name: f"{name} was {before.get(name)!r} and is {value!r}"
        for name, value in now.items()
        if value != before.get(name)
    }
    if not changed:
        return
    if changed.keys() <= LEARNING_RATES:
        warnings.warn(f"{recipe.output}: {'; '.join(changed.values())} from here on", RsnWarning, stacklevel=2)
    else:
        raise RecipeError(
            f"{recipe.output} holds a run of another recipe and cannot be resumed: {'; '.join(changed.values())}"
        )


def _flat_settings(recipe: BaseRecipe) -> dict[str, Any]:
    """The settings that must not change within a run, by dotted name."""
    flat: dict[str, Any] = {}
    for name, value in plain_settings(recipe, CHANGEABLE_SETTINGS).items():
        nested = isinstance(value, dict)
        flat |= {f"{name}.{key}": inner for key, inner in value.items()} if nested else {name: value}
    return flat


def device_name(device: torch.device) -> str:
    """A readable name: the GPU's model, or the CPU and its threads."""
    if device.type == "cuda":
        return f"{device}, {torch.cuda.get_device_name(device)}"
    return f"CPU, {torch.get_num_threads()} threads" if device.type == "cpu" else str(device)


def _environment(processes: DistributedInfo) -> dict[str, Any]:
    return {
        "rsn": __version__,
        "revision": _git_revision(),
        "python": platform.python_version(),
        # torch.__version__ has the build, +cpu or +cu130, which the package's version may lack.
        "libraries": {"torch": torch.__version__} | {library: _version(library) for library in LIBRARIES},
        "system": f"{platform.system()} {platform.machine()}",
        "device": device_name(torch.device("cuda" if torch.cuda.is_available() else "cpu")),
        "processes": processes.count,
        "hosts": processes.hosts,
        "command": sys.argv[1:],
    }


def _version(library: str) -> str | None:
    with suppress(PackageNotFoundError):
        return version(library)
    return None


def _git_revision() -> str | None:
    """The revision of the working tree that rsn runs from; None for an installed package."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    with suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip() or None
    return None
