"""Devices by name. PyTorch is imported only where it has to look for a GPU."""

from collections.abc import Collection, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from rsn.errors import DeviceError

if TYPE_CHECKING:
    import torch

PREFERRED = ("cuda", "mps", "cpu")  # "auto" is the first of these that is available
_CPU_BUILD = "+cpu"  # ending of the version of PyTorch's builds without CUDA


def device_name(name: str, *, usable: Sequence[str] = PREFERRED) -> str:
    """The name of a device that is available: as `pick_device`, but the CPU is found without PyTorch.

    Raises:
        DeviceError: as `pick_device`.
    """
    if name == "cpu" or (name == "auto" and (usable == ("cpu",) or version("torch").endswith(_CPU_BUILD))):
        return "cpu"
    return str(pick_device(name, usable=usable))


def pick_device(name: str, *, usable: Sequence[str] = PREFERRED) -> "torch.device":
    """A device by name; "auto" is the first of the usable ones that is available.

    Raises:
        DeviceError: the device is not available. It is never replaced by another one.
    """
    import torch

    if name == "auto":
        states = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        return torch.device(choose_device([kind for kind, is_available in states.items() if is_available], usable))
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(f"device {name!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return device


def choose_device(available: Collection[str], usable: Sequence[str] = PREFERRED) -> str:
    """The first of the usable kinds of device that is available; the CPU always is."""
    return next(kind for kind in usable if kind == "cpu" or kind in available)
