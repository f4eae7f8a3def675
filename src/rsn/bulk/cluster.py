"""Ray: started on this machine for the run, or a cluster that runs already."""

import logging
import os
import socket
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rsn.bulk.parts import Part
from rsn.bulk.worker import PartResult, Worker
from rsn.errors import DeviceError

OBJECT_STORE = 100 * 2**20  # bytes; only names of files and counts pass through it
TIMEOUT_S = 3.0  # seconds for a cluster's address to answer
CORES_PER_WORKER = 2  # by default; see docs/bulk.md
# Before Ray is imported: no statistics sent, no progress bars, no notices on stderr.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


@dataclass(frozen=True)
class WorkerPool:
    """How many workers, and what each has for itself: cores, and a GPU or a share of one."""

    workers: int
    cores: int
    gpus: float = 0.0

    @classmethod
    def of(cls, workers: int | None, cores: int, gpus: int, device: str) -> "WorkerPool":
        """Divide what there is among workers; by default one for each GPU, or one for every two cores.

        Raises:
            DeviceError: CUDA was asked for and there is no GPU.
        """
        if device == "cpu":
            gpus = 0
        if device.startswith("cuda") and not gpus:
            raise DeviceError("no GPU is there for the workers; leave out --device cuda")
        workers = workers or gpus or max(1, cores // CORES_PER_WORKER)
        return cls(workers, max(1, cores // workers), min(1.0, gpus / workers))


@contextmanager
def running(address: str | None, workers: int | None, device: str) -> Iterator[WorkerPool]:
    """Run Ray in the block; gives the workers that it has room for.

    address: HOST:PORT of a cluster's head; without it Ray is started on this machine.

    Raises:
        DeviceError: no cluster at the address, Ray does not start, or no room for so many workers.
    """
    os.environ.update({key: value for key, value in _QUIET.items() if key not in os.environ})
    if address:
        _check_address(address)
    # A short path, since the names of sockets in it must be short.
    with tempfile.TemporaryDirectory(prefix="rsn-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        import ray

        try:
            yield _join(address, workers, device) if address else _start(folder, workers, device)
        finally:
            ray.shutdown()


def spread(
    todo: Iterable[tuple[int, Part]], crew: WorkerPool, worker: tuple[Any, ...]
) -> Iterator[PartResult]:
    """What becomes of numbered parts, as they end. Another worker does again what a worker had begun when it died.

    worker: arguments of `Worker`.

    Raises:
        DeviceError: Ray itself cannot go on, for example when a worker dies again and again as it starts.
    """
    import ray.data
    from ray.data import ActorPoolStrategy, DataContext

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context: Any = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_consecutive_actor_init_deaths = 3
    context.execution_no_progress_timeout_s = -1  # a part may take its time
    items = [{"number": number, "part": part.to_json()} for number, part in todo]
    # One block for each part: a block is what Ray gives out, and does again.
    answers: Any = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        Worker,
        fn_constructor_args=worker,
        compute=ActorPoolStrategy(size=crew.workers),
        batch_size=1,
        num_cpus=crew.cores,
        num_gpus=crew.gpus or None,
    )
    try:
        for batch in answers.iter_batches(batch_size=None, prefetch_batches=0):
            yield from batch["done"]
    except ray.exceptions.RayError as error:
        raise DeviceError(f"Ray cannot go on: {_first_line(error)}; the same command tries again") from error


def _start(folder: str, workers: int | None, device: str) -> WorkerPool:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    crew = WorkerPool.of(workers, cores, torch.cuda.device_count(), device)
    try:
        _init(
            address="local",
            num_cpus=crew.workers * crew.cores + 1,  # so that Ray never waits for a core that a worker keeps
            object_store_memory=OBJECT_STORE,
            include_dashboard=False,
            _temp_dir=folder,
        )
    except Exception as error:  # Ray raises many kinds, Exception itself among them
        raise DeviceError(
            f"Ray does not start on this machine: {_first_line(error)}; if much else runs here, try again later"
        ) from error
    return crew


def _join(address: str, workers: int | None, device: str) -> WorkerPool:
    import ray

    try:
        _init(address=address)
    except Exception as error:  # as in `_start`
        raise DeviceError(
            f"no Ray cluster can be joined at {address}: {_first_line(error)}; if it asks for a token, set"
            " RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"
        ) from error
    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
    cores = int(resources.get("CPU", 0))
    crew = WorkerPool.of(workers, cores, int(resources.get("GPU", 0)), device)
    if crew.workers * crew.cores > cores:
        raise DeviceError(f"the cluster at {address} has {cores} cores, too few for {crew.workers} workers")
    return crew


def _init(**options: Any) -> None:
    """`ray.init`, while what its C++ libraries write to file descriptor 2, whatever their settings, is dropped."""
    import ray

    stderr = os.dup(2)
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
            ray.init(**options, log_to_driver=False, logging_level=logging.CRITICAL)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")


def _check_address(address: str) -> None:
    """Refuse an address that does not answer; Ray itself would try for a minute."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_S):
            pass
    except (OSError, ValueError, OverflowError) as error:
        raise DeviceError(
            f"no Ray cluster answers at {address}; give HOST:PORT of its head, or leave out --address"
        ) from error
