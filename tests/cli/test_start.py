"""What is imported when the command starts; benchmarks/startup.py has the seconds."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "cv2", "pydantic", "PIL", "openvino")


@pytest.mark.parametrize("words", [["--help"], ["predict", "--help"], ["--version"]])
def test_help_imports_no_large_library(words: list[str]) -> None:
    program = f"""
import sys
from rsn.cli import main
sys.argv = ["rsn", *{words!r}]
try:
    main()
except SystemExit:
    pass
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == "[]\n"
    assert "rsn" in done.stdout
