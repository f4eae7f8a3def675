"""What a user sees while it takes long."""

import os
import pty
import re
import sys
import time

import pytest

from rsn.cli.progress import track


def test_a_terminal_is_told_how_long_it_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    outer, inner = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with open(inner, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        for _ in track(range(20), total=20, unit="frame"):
            time.sleep(0.05)
        said = os.read(outer, 1 << 20)
    os.close(outer)
    assert re.search(rb"frames[^\r\n]*\d:\d\d:\d\d", said)


def test_a_file_is_told_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(range(3), total=None, unit="image")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")
