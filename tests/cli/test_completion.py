"""Completion in bash, installed as docs/install.md says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

INSTALL = Path(__file__).parents[2] / "docs" / "install.md"
# What bash does with a line that ends in the word before the cursor.
ASK = """
source ~/.local/share/bash-completion/completions/rsn
complete -p rsn
for line in 'rsn ex' 'rsn export m --for' 'rsn predict --engine openv' 'rsn models sh' 'rsn predict pho'; do
    COMP_WORDS=($line); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
    _tyro_rsn
    echo "${#COMPREPLY[@]} ${COMPREPLY[*]}"
done
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_verbs_options_and_choices_and_leaves_files_to_itself(tmp_path: Path) -> None:
    (install,) = re.findall(r"```\n(mkdir .*?)```", INSTALL.read_text(), re.DOTALL)
    command = tmp_path / "bin" / "rsn"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m rsn "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}:{os.environ['PATH']}"
    environment = os.environ | {"HOME": str(tmp_path), "PATH": path}
    done = subprocess.run(
        ["bash", "-ec", install + ASK], env=environment, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "complete -o default -F _tyro_rsn rsn",  # default: where it has no answer, names of files
        "1 export",
        "1 --format",
        "2 openvino openvino-bf16",
        "1 show",
        "0 ",
    ]
