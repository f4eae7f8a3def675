"""Several processes working together, started by torchrun or srun and described in the environment.

Images are divided among the processes, and results come back in the order of the images.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from rsn.errors import RsnError

T = TypeVar("T")

TIMEOUT = timedelta(days=1)  # the first process may wait long for the last; a failed one is noticed at once


@dataclass(frozen=True)
class DistributedInfo:
    """Rank of this process (from 0), and number of processes (`count`) on `hosts` machines, equally many on each."""

    rank: int = 0
    count: int = 1
    hosts: int = 1

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "DistributedInfo":
        """Read the variables of torchrun or SLURM's srun; without either, one process.

        Raises:
            RsnError: srun started different numbers of tasks on the hosts.
        """
        if "TORCHELASTIC_RUN_ID" in environment:
            rank, count, on_host = (int(environment[key]) for key in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
            return cls(rank, count, count // on_host)
        if "SLURM_STEP_ID" in environment and "SLURM_PROCID" in environment:
            rank, count, hosts = (int(environment[key]) for key in ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_NNODES"))
            if count % hosts:
                raise RsnError(f"srun started {count} tasks on {hosts} nodes; give it --ntasks-per-node")
            return cls(rank, count, hosts)
        return cls()

    def idle_tasks(self, environment: Mapping[str, str] = os.environ) -> int:
        """Tasks of a SLURM job that do nothing, because the program was started without srun."""
        return max(int(environment.get("SLURM_NTASKS", "1")) - self.count, 0)

    @property
    def processes_per_host(self) -> int:
        """Processes on one machine."""
        return self.count // self.hosts

    @property
    def index_on_host(self) -> int:
        """The rank among the processes of this machine, which is also the index of this process's GPU."""
        return self.rank % self.processes_per_host


def is_main_process() -> bool:
    """Whether this is the process that writes files and messages."""
    return DistributedInfo.from_environment().rank == 0


@contextmanager
def process_group() -> Iterator[DistributedInfo]:
    """Join the processes that were started together; nothing happens if there is only one.

    Raises:
        RsnError: they cannot connect.
    """
    processes = DistributedInfo.from_environment()
    if processes.count == 1:
        yield processes
        return
    import torch.distributed as distributed

    try:
        distributed.init_process_group("gloo", rank=processes.rank, world_size=processes.count, timeout=TIMEOUT)
    except (ValueError, RuntimeError) as error:
        raise _cannot_connect(error) from error
    try:
        yield processes
    finally:
        distributed.destroy_process_group()


@contextmanager
def distributed_errors() -> Iterator[None]:
    """Around work that connects processes by itself: raise failures of the connection as an RsnError."""
    import torch.distributed as distributed

    try:
        yield
    except RuntimeError as error:
        # Gloo's errors have no type of their own.
        if not (isinstance(error, distributed.DistError) or "gloo" in str(error).lower()):
            raise
        raise (_stopped() if distributed.is_initialized() else _cannot_connect(error)) from error


def shard(items: Sequence[T]) -> Sequence[T]:
    """The items of this process: every n-th of n processes, starting at its rank."""
    rank, count = _rank_and_count()
    return items[rank::count]


def gather(results: Sequence[T]) -> list[T]:
    """The results of all processes for their shards, in the order of the items, in every process.

    Raises:
        RsnError: another process has stopped.
    """
    _, count = _rank_and_count()
    if count == 1:
        return list(results)
    import torch.distributed as distributed

    shards: list[Any] = [None] * count
    try:
        distributed.all_gather_object(shards, list(results))
    except RuntimeError as error:
        raise _stopped() from error
    return [shards[item % count][item // count] for item in range(sum(map(len, shards)))]


def _cannot_connect(error: Exception) -> RsnError:
    return RsnError(
        "the processes cannot connect; MASTER_ADDR and MASTER_PORT must be an address that all can reach, and the name"
        " of each host must resolve to an address that the others can reach; or set GLOO_SOCKET_IFNAME to its network"
        f" interface ({error})"
    )


def _stopped() -> RsnError:
    return RsnError("another process has stopped; its own message has the reason")


def _rank_and_count() -> tuple[int, int]:
    import torch.distributed as distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()
