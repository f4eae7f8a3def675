"""Devices by name."""

import torch

from rsn.errors import DeviceError


def pick_device(name: str) -> torch.device:
    """A device by name: "auto" is CUDA where there is one, else the CPU; anything else is taken exactly.

    Raises:
        DeviceError: no such device here. It is never replaced by another.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(f"device {name!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return device
