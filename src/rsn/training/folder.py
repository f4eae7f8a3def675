"""The folder of a run: whose it is, and what ran in it."""

import json
import platform
import subprocess
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from rsn import __version__
from rsn.distributed import DistributedInfo
from rsn.errors import RecipeError, RsnWarning
from rsn.io.files import make_folder, write_atomically
from rsn.training.checkpoints import last_state, usable_state
from rsn.training.recipe import BaseRecipe, plain_settings, read_recipe_as, write_recipe

BEST, LAST = "best.safetensors", "last.safetensors"
LOGS = "logs"
RECIPE = "recipe.yaml"
ENVIRONMENT = "environment.json"
LIBRARIES = ("numpy", "opencv-python-headless", "lightning", "hotcoco")
CHANGEABLE_SETTINGS = frozenset(
    {"compute", "max_unreadable_fraction", "output"}
)  # without making it another run
LEARNING_RATE = (
    "optimization.learning_rate"  # may change too, and is told: after a loss that was no number it has to
)


def open_folder(recipe: BaseRecipe, processes: DistributedInfo, *, resume: bool) -> Path | None:
    """Make a run's folder, or take it up again; returns the state to resume from.

    The first process writes recipe.yaml and environment.json into it.

    Raises:
        RecipeError: it holds another run, or a run that is to be resumed, or none where one is.
        RsnError: the folder cannot be made or written to.
    """
    folder = recipe.output
    if resume:
        state: Path | None = usable_state(folder)
        _check_same_run(recipe)
    else:
        state = None
        _check_nothing_is_lost(folder)
    make_folder(folder)
    if processes.rank == 0:
        write_atomically(folder / RECIPE, write_recipe(recipe).encode())
        write_atomically(folder / ENVIRONMENT, json.dumps(_environment(processes), indent=1).encode())
    return state


def _check_nothing_is_lost(folder: Path) -> None:
    if last_state(folder):
        raise RecipeError(f"{folder} holds a run; go on with --resume, or give another folder: --set output=")
    if any((folder / name).is_file() for name in (BEST, LAST)):
        raise RecipeError(f"{folder} holds the weights of a run; give another folder: --set output=")


def _check_same_run(recipe: BaseRecipe) -> None:
    path = recipe.output / RECIPE
    if not path.is_file():
        return
    before, now = (_settings(settings) for settings in (read_recipe_as(type(recipe), path), recipe))
    changed = [name for name in now if now[name] != before.get(name)]
    if changed == [LEARNING_RATE]:
        rates = f"was {before[LEARNING_RATE]:g} and is {now[LEARNING_RATE]:g} from here on"
        warnings.warn(f"{recipe.output}: {LEARNING_RATE} {rates}", RsnWarning, stacklevel=2)
    elif changed:
        told = "; ".join(f"{name} was {before.get(name)!r} and is {now[name]!r}" for name in changed)
        raise RecipeError(f"{recipe.output} holds a run of another recipe, so it cannot be resumed: {told}")


def _settings(recipe: BaseRecipe) -> dict[str, Any]:
    """The settings that make a run what it is, by dotted name."""
    flat: dict[str, Any] = {}
    for name, value in plain_settings(recipe, CHANGEABLE_SETTINGS).items():
        inner = value.items() if isinstance(value, dict) else [(None, value)]
        flat |= {f"{name}.{key}" if key else name: setting for key, setting in inner}
    return flat


def device_name(device: torch.device) -> str:
    """A device for people: the GPU's name, or the CPU and its threads."""
    if device.type == "cuda":
        return f"{device}, {torch.cuda.get_device_name(device)}"
    return f"CPU, {torch.get_num_threads()} threads" if device.type == "cpu" else str(device)


def _environment(processes: DistributedInfo) -> dict[str, Any]:
    return {
        "rsn": __version__,
        "revision": _revision(),
        "python": platform.python_version(),
        # Only PyTorch itself is sure to say which build it is: +cpu, +cu130, ...
        "libraries": {"torch": torch.__version__} | {library: _version(library) for library in LIBRARIES},
        "system": f"{platform.system()} {platform.machine()}",
        "device": device_name(torch.device("cuda" if torch.cuda.is_available() else "cpu")),
        "processes": processes.count,
        "hosts": processes.hosts,
        "command": sys.argv[1:],
    }


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _revision() -> str | None:
    """The git revision that the package runs from, None for an installed one."""
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
