"""The notebook docs/quickstart.ipynb: its cells are those of the script that makes it, and they run."""

import ast
import sys
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

import rsn

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture(scope="module")
def make_quickstart():
    sys.path.insert(0, str(SCRIPTS))
    import make_quickstart

    sys.path.remove(str(SCRIPTS))
    return make_quickstart


def test_notebook_has_the_cells_of_the_script_and_their_output(make_quickstart) -> None:
    written = nbformat.read(make_quickstart.NOTEBOOK, as_version=4)
    nbformat.validate(written)
    cells = [(cell.cell_type, cell.source) for cell in make_quickstart.quickstart().cells]
    assert [(cell.cell_type, cell.source) for cell in written.cells] == cells
    outputs = [output for cell in written.cells[1::2] for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert sum("image/jpeg" in output.get("data", {}) for output in outputs) >= 5
    assert make_quickstart.NOTEBOOK.stat().st_size < 1_000_000


def test_cells_compile_and_use_existing_names(make_quickstart) -> None:
    code = "\n".join(make_quickstart.CELLS[1::2])
    tree = ast.parse(TransformerManager().transform_cell(code))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "rsn":
            assert node.attr in rsn.__all__
        if isinstance(node, ast.ImportFrom):
            exec(compile(ast.Module([node], []), "cell", "exec"), {})


@pytest.mark.slow
def test_cells_run_within_a_minute_each(make_quickstart) -> None:
    assert make_quickstart.TIMEOUT <= 60
    notebook = make_quickstart.quickstart()
    make_quickstart.run(notebook)
    last = notebook.cells[-1].outputs
    assert ["image/jpeg" in output.data for output in last] == [True]
    assert "PoseResult: 1 person" in last[0].data["text/plain"]
