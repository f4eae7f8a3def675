"""The progress bar."""

import os
import pty
import re
import sys
import time

import pytest

from rsn.cli.progress import track


def test_terminal_shows_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    outer, inner = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with open(inner, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        for _ in track(range(20), total=20, unit="frame"):
            time.sleep(0.05)
        said = os.read(outer, 1 << 20)
    os.close(outer)
    assert re.search(rb"frames[^\r\n]*\d:\d\d:\d\d", said)


def test_redirected_output_has_no_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(range(3), total=None, unit="image")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")
