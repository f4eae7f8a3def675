"""`rsn bulk` in a separate process, because Ray changes the process that starts it."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from command import WHOLE, rsn_process


@pytest.fixture
def bulk(random_weights: Path) -> Callable[..., CompletedProcess[str]]:
    """The command with a small network and one worker."""

    def run(*arguments: object, workers: int = 1, **options: object) -> CompletedProcess[str]:
        given = ["--model", random_weights, "--device", "cpu", "--backend", "torch", "--workers", workers]
        return rsn_process("bulk", *arguments, *WHOLE, *given, **options)

    return run
