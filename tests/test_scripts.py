"""The programs in scripts/ and benchmarks/: what they import from rsn exists."""

import ast
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_scripts_and_benchmarks_import_existing_names() -> None:
    missing = []
    for path in [*(ROOT / "scripts").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rsn":
                try:
                    module = import_module(str(node.module))
                except ModuleNotFoundError as error:
                    missing.append(f"{path.name}: {error}")
                    continue
                names = [name.name for name in node.names if not hasattr(module, name.name)]
                missing += [f"{path.name}: {node.module}.{name}" for name in names]
    assert missing == []
