"""The precision that a processor trains fastest in, and a warning about one that it only emulates."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from rsn.errors import RsnWarning

Precision = Literal["auto", "32-true", "64-true", "bf16-mixed", "16-mixed"]  # all but auto as Lightning calls them

CPU_INFO = Path("/proc/cpuinfo")
# Names of instructions that multiply bfloat16: Intel's and AMD's, Intel's matrix unit, Arm's.
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


def resolve_precision(precision: Precision) -> str:
    """The precision for this machine: of "auto" bf16-mixed if the processor that trains multiplies bfloat16.

    Warns if another processor is to compute in bfloat16.
    """
    kinds = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    native = multiplies_bf16(torch.device(next(kind for kind, present in kinds.items() if present)))
    if precision == "auto":
        return "bf16-mixed" if native else "32-true"
    if precision == "bf16-mixed" and not native:
        warnings.warn(
            "compute.precision: this processor has no instructions for bfloat16 (AVX512_BF16, AMX, or a GPU that has"
            " them) and emulates them, which made a training step ten times slower; choose auto or 32-true",
            RsnWarning,
            stacklevel=2,
        )
    return precision


def multiplies_bf16(device: torch.device) -> bool:
    """Whether a CUDA GPU or the CPU multiplies bfloat16; false for other devices, and where it cannot be found out."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(_cpu_flags() & BF16_FLAGS)


def _cpu_flags() -> set[str]:
    """The names of the instruction sets of the CPU."""
    if CPU_INFO.is_file():
        lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
        return {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.split()[2:]}
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # not in old versions of PyTorch
    return {name for name, present in capabilities.items() if present is True}
