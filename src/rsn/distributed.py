"""Processes that work together: started by torchrun or srun, found in what these leave in the environment.

Work on images is shared so that every image is looked at once and the answers come back in the images' order.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from rsn.errors import RsnError

T = TypeVar("T")

TIMEOUT_S = timedelta(days=1)  # of the first process for the last; one that fails is noticed at once


@dataclass(frozen=True)
class DistributedInfo:
    """rank: which one this is, from 0. count: how many there are, on `hosts` machines with equally many each."""

    rank: int = 0
    count: int = 1
    hosts: int = 1

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "DistributedInfo":
        """What torchrun or SLURM's srun says; without either, one process.

        Raises:
            RsnError: srun was not given as many on each host.
        """
        if "TORCHELASTIC_RUN_ID" in environment:
            rank, count, on_host = (
                int(environment[key]) for key in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
            )
            return cls(rank, count, count // on_host)
        if "SLURM_STEP_ID" in environment and "SLURM_PROCID" in environment:
            rank, count, hosts = (
                int(environment[key]) for key in ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_NNODES")
            )
            if count % hosts:
                raise RsnError(f"srun started {count} tasks on {hosts} nodes; give it --ntasks-per-node")
            return cls(rank, count, hosts)
        return cls()

    def skipped(self, environment: Mapping[str, str] = os.environ) -> int:
        """Tasks that a SLURM job has and that are not at work: sbatch starts one process, and only srun all."""
        return max(int(environment.get("SLURM_NTASKS", "1")) - self.count, 0)

    @property
    def processes_per_host(self) -> int:
        """Processes on one machine."""
        return self.count // self.hosts

    @property
    def index_on_host(self) -> int:
        """The rank among the processes of this machine, which tells which GPU is this one's."""
        return self.rank % self.processes_per_host


@contextmanager
def process_group() -> Iterator[DistributedInfo]:
    """Join the processes that were launched with this one; alone, nothing happens.

    Raises:
        RsnError: they do not find each other.
    """
    processes = DistributedInfo.from_environment()
    if processes.count == 1:
        yield processes
        return
    import torch.distributed as distributed

    try:
        distributed.init_process_group(
            "gloo", rank=processes.rank, world_size=processes.count, timeout=TIMEOUT_S
        )
    except (ValueError, RuntimeError) as error:
        raise _apart(error) from error
    try:
        yield processes
    finally:
        distributed.destroy_process_group()


@contextmanager
def single_process() -> Iterator[None]:
    """Around work that meets and waits for other processes by itself: what fails between them is one sentence.

    Raises:
        RsnError: they do not find each other, or another process has stopped.
    """
    import torch.distributed as distributed

    try:
        yield
    except RuntimeError as error:
        # Gloo's errors have no type of their own.
        if not (isinstance(error, distributed.DistError) or "gloo" in str(error).lower()):
            raise
        raise (_left() if distributed.is_initialized() else _apart(error)) from error


def shard(items: Sequence[T]) -> Sequence[T]:
    """What this process takes of the items: one in so many as there are processes that joined, none of them twice."""
    rank, count = _place()
    return items[rank::count]


def gather(answers: Sequence[T]) -> list[T]:
    """What all processes answered to their shares, in the order of the items, in every process.

    Raises:
        RsnError: another process has stopped.
    """
    _, count = _place()
    if count == 1:
        return list(answers)
    import torch.distributed as distributed

    shares: list[Any] = [None] * count
    try:
        distributed.all_gather_object(shares, list(answers))
    except RuntimeError as error:
        raise _left() from error
    return [shares[item % count][item // count] for item in range(sum(map(len, shares)))]


def _apart(error: Exception) -> RsnError:
    return RsnError(
        "the processes do not find each other; MASTER_ADDR and MASTER_PORT must name a place where they can meet, and"
        " every host's own name an address that the others reach, or GLOO_SOCKET_IFNAME its network interface"
        f" ({error})"
    )


def _left() -> RsnError:
    return RsnError("another process has stopped; what it said tells why")


def _place() -> tuple[int, int]:
    """This process's rank, and how many joined."""
    import torch.distributed as distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()
