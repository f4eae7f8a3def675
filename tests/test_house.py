"""The house: a room imports only from its own floor's stones and from the rooms below it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import rsn

SOURCE = Path(rsn.__file__).parent
# From the ground up.
FLOORS = (
    {"errors", "extras", "files", "downloads", "processes", "typed_yaml"},
    {
        "keypoint_names",
        "skeletons",
        "skeleton_files",
        "people",
        "crops",
        "images",
        "image_arrays",
        "image_formats",
        "oks",
    },
    {"networks"},
    {"heatmaps"},
    {"datasets"},
    {"inference"},
    {"evaluation"},
    {"training"},
    {"serving", "benchmark", "doctor", "exporting", "bulk"},
    {"cli"},
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(
    path for path in SOURCE.rglob("*.py") if not (path.parent == SOURCE and path.stem.startswith("__"))
)


def _room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_imports_from_below(path: Path) -> None:
    own = _room(path)
    theirs = {
        name.split(".")[1] for name in _imported(ast.parse(path.read_text())) if name.startswith("rsn.")
    }
    above = {room for room in theirs if FLOOR.get(room, -1) > FLOOR[own]}  # -1: what rsn itself offers
    assert not above, f"{own} imports from {', '.join(sorted(above))}"
