"""Completion in bash, zsh and fish, installed as docs/install.md says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

INSTALL = Path(__file__).parents[2] / "docs" / "install.md"
# How each shell completes a line at the cursor.
BASH = """
source ~/.local/share/bash-completion/completions/rsn
complete -p rsn
for line in 'rsn ex' 'rsn export m --for' 'rsn predict --backend openv' 'rsn models sh' 'rsn predict pho'; do
    COMP_WORDS=($line); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
    _tyro_rsn
    echo "${#COMPREPLY[@]} ${COMPREPLY[*]}"
done
"""
ZSH = """
zmodload zsh/zpty
zpty shell "PS1= zsh -f"
zpty -w shell 'fpath=(~/.zfunc $fpath); autoload -Uz compinit; compinit -u; bindkey "^I" complete-word'
zpty -w shell 'show() { print -r "<$BUFFER>"; BUFFER= }; zle -N show; bindkey "^X" show; echo "re"ady'
zpty -r shell answer '*ready*'
for line in 'rsn ex' 'rsn export m --for' 'rsn predict --backend openvino-' 'rsn models sh' 'rsn predict pho'; do
    zpty -w -n shell "$line"$'\t\x18'
    zpty -r shell answer '*<*>*'
    print -r - "${${answer##*<}%%>*}"
done
zpty -d shell
"""
FISH = """
for line in 'rsn ex' 'rsn export m --for' 'rsn predict --backend openvino-' 'rsn models sh' 'rsn predict pho'
    complete -C $line
end
"""


def ask(folder: Path, shell: str, question: str) -> list[str]:
    """The output of a shell in a new home folder with the documented completion."""
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    (install,) = re.findall(rf"```\n(mkdir [^`]*completion {shell} .*?)```", INSTALL.read_text(), re.DOTALL)
    command = folder / "bin" / "rsn"
    command.parent.mkdir()
    command.write_text(f"""#!/bin/sh\nexec '{sys.executable}' -m rsn "$@"\n""")
    command.chmod(0o755)
    (folder / "image.jpg").touch()
    path = f"{command.parent}:{os.environ['PATH']}"
    environment = os.environ | {"HOME": str(folder), "PATH": path}
    environment.pop("XDG_CONFIG_HOME", None)
    done = subprocess.run(
        [shell, "-c", install + question],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_bash_completes_subcommands_options_and_choices_and_leaves_files_to_itself(tmp_path: Path) -> None:
    assert ask(tmp_path, "bash", BASH) == [
        "complete -o default -F _tyro_rsn rsn",  # default: file names if there is no completion
        "1 export",
        "1 --format",
        "2 openvino openvino-bf16",
        "1 show",
        "0 ",
    ]


def test_zsh_completes_subcommands_options_choices_and_files(tmp_path: Path) -> None:
    assert [line.strip() for line in ask(tmp_path, "zsh", ZSH)] == [
        "rsn export",
        "rsn export m --format",
        "rsn predict --backend openvino-bf16",
        "rsn models show",
        "rsn predict image.jpg",
    ]


def test_fish_completes_subcommands_options_choices_and_files(tmp_path: Path) -> None:
    answers = [line.partition("\t")[0] for line in ask(tmp_path, "fish", FISH)]  # a description follows
    assert answers == ["export", "--format", "openvino-bf16", "show", "image.jpg"]
