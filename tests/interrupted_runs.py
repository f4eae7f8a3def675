"""Training runs in a process of their own, which a test may kill."""

import subprocess
import sys
import time
from pathlib import Path

from rsn.training.checkpoints import LAST_CHECKPOINT, PREVIOUS_CHECKPOINT

# Of a checkpoint: all that decides how a run goes on.
PARTS = ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers", "loops")


def start_run(recipe_file: Path, folder: Path, *settings: str, validations: int = 1) -> subprocess.Popen[str]:
    """A run in its own process, after its first or second validation."""
    command = [sys.executable, "-m", "rsn", "train", recipe_file, "--set", *settings, f"output={folder}"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    awaited = folder / (LAST_CHECKPOINT if validations == 1 else PREVIOUS_CHECKPOINT)
    while not awaited.exists() and process.poll() is None:
        time.sleep(0.01)
    return process
