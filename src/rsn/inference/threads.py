"""How many threads a network uses on the CPU: as many as PyTorch would, without importing it."""

import os
import sys
from pathlib import Path

_SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"  # hardware threads of one core (Linux)


def thread_count() -> int:
    """The number that PyTorch was set to, else OMP_NUM_THREADS, else the number of cores."""
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) else core_count()


def core_count() -> int:
    """The number of cores that this process may use."""
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    try:
        return len({Path(_SIBLINGS.format(number)).read_text(encoding="ascii") for number in own})
    except OSError:
        return len(own)
