"""Ray: a small one of our own on this machine, or a cluster that is there."""

import logging
import os
import socket
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsn.bulk.parts import Part
from rsn.bulk.worker import Done, Worker
from rsn.errors import DeviceError

OBJECT_STORE = 100 * 2**20  # bytes; only names of files and counts pass through it
PATIENCE = 3.0  # seconds for a cluster's address to answer
CORES_A_WORKER = 2  # by default; see docs/bulk.md
# Before Ray is imported: no statistics sent home, no bars and notices.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True)
class Crew:
    """How many workers, and what each has for itself: cores, and a GPU or a share of one."""

    workers: int
    cores: int
    gpus: float = 0.0

    @classmethod
    def of(cls, workers: int | None, cores: int, gpus: int, device: str) -> "Crew":
        """Share out what there is. Without a number: a worker a GPU, or one for every two cores.

        Raises:
            DeviceError: CUDA was asked for and there is no GPU.
        """
        if device == "cpu":
            gpus = 0
        if device.startswith("cuda") and not gpus:
            raise DeviceError("no GPU is there for the workers; leave out --device cuda")
        workers = workers or gpus or max(1, cores // CORES_A_WORKER)
        return cls(workers, max(1, cores // workers), min(1.0, gpus / workers))


@contextmanager
def running(address: str | None, workers: int | None, device: str) -> Iterator[Crew]:
    """Ray, as long as this lasts, and the crew that it has room for.

    address: HOST:PORT of a cluster's head; without it Ray is started on this machine.

    Raises:
        DeviceError: nobody is there, Ray does not start, or no room for so many workers.
    """
    os.environ.update({key: value for key, value in _QUIET.items() if key not in os.environ})
    if address:
        _knock(address)
    # A short path, since the names of sockets in it must be short.
    with (
        tempfile.TemporaryDirectory(prefix="rsn-", dir="/tmp", ignore_cleanup_errors=True) as folder,
        _silent(Path(folder) / "stderr"),
    ):
        import ray

        try:
            yield _join(ray, address, workers, device) if address else _start(ray, folder, workers, device)
        finally:
            ray.shutdown()


def spread(todo: Iterable[tuple[int, Part]], crew: Crew, worker: tuple[Any, ...]) -> Iterator[Done]:
    """What becomes of numbered parts, as they end. What a worker had begun when it died is done by another.

    worker: arguments of `Worker`.

    Raises:
        DeviceError: Ray itself cannot go on, when a worker dies again and again as it starts, say.
    """
    import ray.data
    from ray.data import ActorPoolStrategy, DataContext

    context: Any = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_consecutive_actor_init_deaths = 3
    context.execution_no_progress_timeout_s = -1  # a part may take its time
    items = [{"number": number, "part": part.to_json()} for number, part in todo]
    # A block a part: a block is what Ray gives out, and does again.
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


def _start(ray: Any, folder: str, workers: int | None, device: str) -> Crew:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    crew = Crew.of(workers, cores, _gpus_here(), device)
    try:
        ray.init(
            address="local",
            num_cpus=crew.workers * crew.cores + 1,  # so that Ray never waits for a core that a worker keeps
            object_store_memory=OBJECT_STORE,
            include_dashboard=False,
            log_to_driver=False,
            _temp_dir=folder,
        )
    except Exception as error:  # it has many kinds, the bare one among them
        raise DeviceError(
            f"Ray does not start on this machine: {_first_line(error)}; if much else runs here, try again later"
        ) from error
    return crew


def _join(ray: Any, address: str, workers: int | None, device: str) -> Crew:
    try:
        ray.init(address=address, log_to_driver=False)
    except Exception as error:  # as when it starts
        raise DeviceError(
            f"no Ray cluster can be joined at {address}: {_first_line(error)}; if it asks for a token, set"
            " RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"
        ) from error
    there = ray.cluster_resources()
    cores = int(there.get("CPU", 0))
    crew = Crew.of(workers, cores, int(there.get("GPU", 0)), device)
    if crew.workers * crew.cores > cores:
        raise DeviceError(f"the cluster at {address} has {cores} cores, too few for {crew.workers} workers")
    return crew


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")


def _knock(address: str) -> None:
    """Ray itself would try for a minute."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), PATIENCE):
            pass
    except (OSError, ValueError, OverflowError) as error:
        raise DeviceError(
            f"no Ray cluster answers at {address}; give HOST:PORT of its head, or leave out --address"
        ) from error


def _gpus_here() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


@contextmanager
def _silent(log: Path) -> Iterator[None]:
    """Keep Ray off the user's stderr, which stays for our own lines; what it writes goes to a file.

    Parts of it write to file descriptor 2, whatever its settings say.
    """
    real, before, disabled = os.dup(2), sys.stderr, logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    with open(log, "wb") as file, open(real, "w", buffering=1) as ours:
        os.dup2(file.fileno(), 2)
        sys.stderr = ours
        try:
            yield
        finally:
            sys.stderr = before
            os.dup2(real, 2)
            logging.disable(disabled)
