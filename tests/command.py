"""The `rsn` command, in this process or in one of its own."""

import contextlib
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO
from unittest import mock

from rsn import cli

WHOLE = ("--boxes", "whole")  # each image is one person: for tests without detection
RSN = (sys.executable, "-c", "from rsn.cli import main; main()")  # the command as a process


def rsn(
    *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command through its entry function: seconds faster than `rsn_process`.

    `stdout` and `stderr` hold all that is written to file descriptors 1 and 2, by native libraries and child
    processes too. An exception that would end a process with a traceback is raised here.
    """
    command = ["rsn", *map(str, arguments)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with (
            _in_folder(cwd),
            mock.patch.dict(os.environ, {} if env is None else env, clear=env is not None),
            mock.patch.object(sys, "argv", command),
            _python_warnings(),
            _written_to(out, "stdout", 1),
            _written_to(err, "stderr", 2),
        ):
            status = _exit_status()
        return subprocess.CompletedProcess(command, status, _text(out), _text(err))


def rsn_process(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command in its own process, as a user does."""
    command = [*RSN, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def _exit_status() -> int:
    try:
        cli.main()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0
    return 0


@contextlib.contextmanager
def _in_folder(folder: Path | None) -> Iterator[None]:
    with contextlib.chdir(folder or "."):
        yield


@contextlib.contextmanager
def _written_to(file: IO[bytes], name: str, descriptor: int) -> Iterator[None]:
    """Let `file` receive what is written to `sys.stdout` or `sys.stderr` and to its file descriptor."""
    getattr(sys, name).flush()
    before = os.dup(descriptor)
    os.dup2(file.fileno(), descriptor)
    try:
        stream = open(descriptor, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
        with stream, mock.patch.object(sys, name, stream):
            yield
    finally:
        os.dup2(before, descriptor)
        os.close(before)


@contextlib.contextmanager
def _python_warnings() -> Iterator[None]:
    """Show warnings as a fresh Python does; pytest collects them otherwise."""

    def show(message: Warning | str, category: type[Warning], filename: str, line: int, *_: object) -> None:
        sys.stderr.write(warnings.formatwarning(message, category, filename, line))

    with warnings.catch_warnings(), mock.patch.object(cli, "_default_showwarning", show):
        warnings.resetwarnings()
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
        yield


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()
