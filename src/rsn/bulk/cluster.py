"""Ray: started on this machine for a run, or a running cluster."""

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
TIMEOUT_S = 3.0  # for the address of a cluster to respond
CORES_PER_WORKER = 2  # by default; see docs/bulk.md
# Set before Ray is imported: no statistics sent, no progress bars, no messages on stderr.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


@dataclass(frozen=True)
class WorkerPool:
    """The number of workers, and the cores and GPUs (or share of a GPU) of each."""

    workers: int
    cores: int
    gpus: float = 0.0

    @classmethod
    def from_resources(cls, workers: int | None, cores: int, gpus: int, device: str) -> "WorkerPool":
        """Divide cores and GPUs among workers; by default one worker per GPU, or one per two cores.

        Raises:
            DeviceError: device is "cuda" and there is no GPU.
        """
        if device == "cpu":
            gpus = 0
        if device.startswith("cuda") and not gpus:
            raise DeviceError("no GPU is available for the workers; leave out --device cuda")
        workers = workers or gpus or max(1, cores // CORES_PER_WORKER)
        return cls(workers, max(1, cores // workers), min(1.0, gpus / workers))


@contextmanager
def ray_session(address: str | None, workers: int | None, device: str) -> Iterator[WorkerPool]:
    """Connect to Ray for the block; yields the workers that it can run.

    address: HOST:PORT of a cluster's head; without it Ray is started on this machine.

    Raises:
        DeviceError: no cluster at the address, Ray does not start, or too few cores or GPUs.
    """
    os.environ.update({key: value for key, value in _QUIET.items() if key not in os.environ})
    # A short path, because names of sockets in it must be short.
    short = "/tmp" if os.path.isdir("/tmp") else None  # Windows has none
    with tempfile.TemporaryDirectory(prefix="rsn-", dir=short, ignore_cleanup_errors=True) as folder:
        import ray

        try:
            yield _connect(folder, address, workers, device)
        finally:
            ray.shutdown()


def run_parts(todo: Iterable[tuple[int, Part]], pool: WorkerPool, worker: tuple[Any, ...]) -> Iterator[PartResult]:
    """The results of numbered parts, as they finish. Another worker repeats the parts of a worker that died.

    worker: arguments of `Worker`.

    Raises:
        DeviceError: Ray itself fails, for example because workers die again and again while they start.
    """
    import ray.data
    from ray.data import ActorPoolStrategy, DataContext

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context: Any = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_consecutive_actor_init_deaths = 3
    context.execution_no_progress_timeout_s = -1  # a part may take long
    items = [{"number": number, "part": part.to_json()} for number, part in todo]
    # One block per part: Ray distributes and repeats blocks.
    results: Any = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        Worker,
        fn_constructor_args=worker,
        compute=ActorPoolStrategy(size=pool.workers),
        batch_size=1,
        num_cpus=pool.cores,
        num_gpus=pool.gpus or None,
    )
    try:
        for batch in results.iter_batches(batch_size=None, prefetch_batches=0):
            yield from batch["result"]
    except ray.exceptions.RayError as error:
        raise DeviceError(f"Ray failed: {_first_line(error)}; run the same command again to continue") from error


def _connect(folder: str, address: str | None, workers: int | None, device: str) -> WorkerPool:
    import ray
    import torch

    if address:
        _check_address(address)
        options: dict[str, Any] = {"address": address}
    else:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        pool = WorkerPool.from_resources(workers, cores, torch.cuda.device_count(), device)
        options = {
            "address": "local",
            "num_cpus": pool.workers * pool.cores + 1,  # one more than the workers occupy, for Ray's own tasks
            "object_store_memory": OBJECT_STORE,
            "include_dashboard": False,
            "_temp_dir": folder,
        }
    try:
        _init(**options)
    except Exception as error:  # Ray raises many types, including Exception itself
        if not address:
            what, hint = "does not start on this machine", "if the machine is busy, try again later"
        else:
            what = f"cannot join the cluster at {address}"
            hint = "if it asks for a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"
        raise DeviceError(f"Ray {what}: {_first_line(error)}; {hint}") from error
    if address:
        resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
        cores = int(resources.get("CPU", 0))
        pool = WorkerPool.from_resources(workers, cores, int(resources.get("GPU", 0)), device)
        if pool.workers * pool.cores > cores:
            raise DeviceError(f"the cluster at {address} has {cores} cores, too few for {pool.workers} workers")
    return pool


def _init(**options: Any) -> None:
    """Call `ray.init` with file descriptor 2 closed, because its C++ libraries ignore all log settings."""
    import ray

    stderr = os.dup(2)
    try:
        with open(os.devnull, "wb") as devnull:
            os.dup2(devnull.fileno(), 2)
            ray.init(**options, log_to_driver=False, logging_level=logging.CRITICAL)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")


def _check_address(address: str) -> None:
    """Reject an address that does not respond; Ray itself would try for a minute."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_S):
            pass
    except (OSError, ValueError, OverflowError) as error:
        raise DeviceError(
            f"no Ray cluster responds at {address}; give HOST:PORT of its head, or leave out --address"
        ) from error
