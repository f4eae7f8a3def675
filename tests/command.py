"""The command as a user meets it: a real process."""

import subprocess
import sys

WHOLE = ("--boxes", "whole")  # a photo is one person: for what has nothing to do with finding people


def rsn(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from rsn.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
