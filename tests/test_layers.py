"""A module of the package imports only from packages of its own layer or of the layers below."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import rsn

SOURCE = Path(rsn.__file__).parent
# From the lowest layer to the highest; packages of one layer may import each other.
LAYERS = (
    {"errors", "extras"},
    {"io", "distributed", "keypoint_names", "skeletons", "skeleton_files", "geometry", "results", "conversions", "oks"},
    {"codecs"},
    {"models"},
    {"weights"},
    {"data"},
    {"inference", "detection", "tracking", "visualization"},
    {"video"},
    {"evaluation"},
    {"training"},
    {"serving", "benchmark", "doctor", "preview", "export", "bulk"},
    {"cli"},
)
# `PoseResult.plot` draws; it imports what draws only when it is called.
EXCEPTIONS = {"results": {"visualization"}}
LAYER_OF = {package: number for number, packages in enumerate(LAYERS) for package in packages}
FILES = sorted(path for path in SOURCE.rglob("*.py") if not (path.parent == SOURCE and path.stem.startswith("__")))


def _package(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("name", rsn.__all__)
def test_package_offers_every_name(name: str) -> None:
    assert getattr(rsn, name) is not None
    assert name in dir(rsn)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_module_imports_only_from_lower_layers(path: Path) -> None:
    own = _package(path)
    imported = {
        name.split(".")[1] for name in _imported(ast.parse(path.read_text(encoding="utf-8"))) if name.startswith("rsn.")
    }
    above = {package for package in imported if LAYER_OF.get(package, -1) > LAYER_OF[own]}  # -1: what rsn itself offers
    above -= EXCEPTIONS.get(own, set())
    assert not above, f"{own} imports from {', '.join(sorted(above))}"
