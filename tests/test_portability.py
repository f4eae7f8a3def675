"""What the package may use on any operating system and with any set of optional libraries."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import rsn

SOURCE = Path(rsn.__file__).parent
PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# In a process that lacks what Windows, macOS or both lack, import every module.
IMPORT_ALL = """
import importlib, os, pkgutil, signal, sys, tempfile

import torch  # it brings modules that look for these themselves

for name in ("resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules[name] = None
for name in ("geteuid", "getuid", "sched_getaffinity", "fork", "killpg", "getloadavg", "uname"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGKILL", "SIGHUP", "SIGUSR1", "SIGXFSZ"):
    if hasattr(signal, name):
        delattr(signal, name)
isdir, tempfile.tempdir = os.path.isdir, os.getcwd()
os.path.isdir = lambda path: path != "/tmp" and isdir(path)

import rsn

failed = {}
for module in pkgutil.walk_packages(rsn.__path__, "rsn."):
    if module.name == "rsn.__main__":
        continue
    try:
        importlib.import_module(module.name)
    except Exception as error:
        failed[module.name] = error
for name, error in failed.items():
    print(name, repr(error))
print("imported", sum(name.startswith("rsn.") for name in sys.modules))
sys.exit(bool(failed))
"""
IMPORT_NAMES = {"scikit-image": "skimage"}  # where they differ from the distribution


def _requirements(extra: str) -> Iterator[str]:
    """The import names of the libraries of an extra, those of the extras that it includes, too."""
    for requirement in PROJECT["optional-dependencies"][extra]:
        name = re.split(r"[\[<>=!~ ]", requirement)[0]
        if name == PROJECT["name"]:
            for included in re.findall(r"\[(.*?)\]", requirement)[0].split(","):
                yield from _requirements(included)
        else:
            yield IMPORT_NAMES.get(name, name.replace("-", "_"))


def _calls(function: str) -> Iterator[tuple[Path, ast.Call]]:
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function:
                yield path, node


def test_every_module_imports_without_what_windows_and_macos_lack() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", IMPORT_ALL], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    modules = len(list(SOURCE.rglob("*.py"))) - 2  # rsn itself and rsn.__main__
    assert done.stdout.splitlines()[-1] == f"imported {modules}"


def test_required_libraries_belong_to_the_extra_that_the_message_names() -> None:
    checked = 0
    for path, call in _calls("require"):
        (extra,) = (keyword.value for keyword in call.keywords if keyword.arg == "extra")
        if not isinstance(extra, ast.Constant):
            continue  # export: the format's name
        libraries = {argument.value for argument in call.args if isinstance(argument, ast.Constant)}
        unknown = libraries - set(_requirements(str(extra.value)))
        assert not unknown, f"{path}: {', '.join(sorted(map(str, unknown)))} not in [{extra.value}]"
        checked += 1
    assert checked > 10


def test_extra_all_holds_every_other_extra() -> None:
    extras = set(PROJECT["optional-dependencies"]) - {"all", "dev", "docs"}
    (included,) = PROJECT["optional-dependencies"]["all"]
    assert set(re.findall(r"\[(.*?)\]", included)[0].split(",")) == extras


def test_python_and_libraries_of_the_core_have_no_upper_bound() -> None:
    assert not [bound for bound in (PROJECT["requires-python"], *PROJECT["dependencies"]) if "<" in bound]


def test_test_files_import_without_what_windows_lacks() -> None:
    """They must be collectable there: such modules are imported in the tests that use them."""
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not {"resource", "fcntl", "pwd", "termios"} & set(names), path
