"""Devices by name."""

from collections.abc import Collection, Sequence

import torch

from rsn.errors import DeviceError

PREFERRED = ("cuda", "mps", "cpu")  # "auto" is the first of these that is available


def pick_device(name: str, *, usable: Sequence[str] = PREFERRED) -> torch.device:
    """A device by name; "auto" is the first of the usable ones that is available.

    Raises:
        DeviceError: the device is not available. It is never replaced by another one.
    """
    if name == "auto":
        return torch.device(choose_device(_available(), usable))
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(f"device {name!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return device


def choose_device(available: Collection[str], usable: Sequence[str] = PREFERRED) -> str:
    """The first of the usable kinds of device that is available; the CPU always is."""
    return next(kind for kind in usable if kind == "cpu" or kind in available)


def _available() -> set[str]:
    states = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return {kind for kind, is_available in states.items() if is_available}
