"""`rsn doctor` on the machine that runs the tests, and on one where something is missing."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from command import rsn
from rsn import __version__
from rsn.doctor import EXTRAS, examine, libraries_of

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_doctor_reports_versions_devices_and_backends() -> None:
    done = rsn("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"+ rsn          {__version__}, Python 3.")
    for topic in ("libraries", "cpu", "cuda", "backends", "cache"):
        assert any(line[2:].startswith(topic) for line in lines), topic
    assert "auto takes" in next(line for line in lines if "backends" in line)


def test_extras_match_pyproject_and_documentation() -> None:
    optional = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(optional) - {"dev", "docs"}
    page = (PYPROJECT.parent / "docs" / "install.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(EXTRAS)


def test_doctor_names_missing_libraries_of_extra(tmp_path: Path) -> None:
    """In a process that sees an installed rsn without its extras."""
    about = tmp_path / "rsn_pose-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: rsn-pose\nVersion: 1.0\nRequires-Dist: torch>=2.7\n"
        "Requires-Dist: surely-missing>=2; extra == 'train'\nRequires-Dist: numpy>=1; extra == 'train'\n"
    )
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from rsn.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "doctor"], capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if "[train]" in line)
    assert line.startswith("- [train]")
    assert line.endswith("pip install 'rsn-pose[train]' adds surely-missing")


def test_doctor_reports_incomplete_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    """As pip leaves it where one of two OpenCV packages was uninstalled."""
    monkeypatch.setitem(sys.modules, "cv2", ModuleType("cv2"))
    check = next(check for check in examine() if check.topic == "opencv")
    assert not check.ok
    assert "install one of its packages again" in check.text


def test_doctor_without_installed_package_reports_unknown_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsn.doctor.DISTRIBUTION", "surely-not-installed")
    checks = {check.topic: check for check in examine()}
    assert not checks["extras"].ok
    with pytest.raises(ModuleNotFoundError):
        libraries_of("train")
