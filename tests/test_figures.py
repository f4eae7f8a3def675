"""The figures of the documentation: the probes measure correctly, and the pages hold the measured tables."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from rsn.models.bottleneck import bottleneck, plain_bottleneck
from rsn.models.residual_steps import ResidualStepsBlock, residual_steps

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "docs" / f"{name}.md" for name in ("architecture", "coordinates", "speed", "your-own-keypoints")]


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module("figures.probes")


@pytest.mark.slow
def test_drawing_gives_the_tables_and_figures_of_the_pages(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "scripts" / "draw_figures.py", tmp_path], check=True)
    text = "\n".join(page.read_text() for page in PAGES)
    for name, table in json.loads((tmp_path / "measured.json").read_text()).items():
        assert table in text, f"{name}: run scripts/draw_figures.py"
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn == {path.name for path in (ROOT / "docs" / "figures").iterdir()}


def test_tables_of_the_speed_page_equal_the_benchmark_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    speed, markdown = (importlib.import_module(f"figures.{name}") for name in ("speed", "tables"))
    page = (ROOT / "docs" / "speed.md").read_text()
    tables = {name: markdown.as_markdown(table) for name, table in speed.tables().items()}
    assert [name for name, table in tables.items() if table not in page] == []


def test_tables_of_the_page_on_keypoints_equal_the_benchmark_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    finetuning, markdown = (importlib.import_module(f"figures.{name}") for name in ("finetuning", "tables"))
    page = (ROOT / "docs" / "your-own-keypoints.md").read_text()
    tables = [markdown.as_markdown(table) for table in finetuning.tables(finetuning.read_shares()).values()]
    assert [table for table in tables if table not in page] == []


def test_pages_hold_the_measured_tables() -> None:
    measured = json.loads((ROOT / "docs" / "figures" / "measured.json").read_text())
    text = "\n".join(page.read_text() for page in PAGES)
    assert [name for name, table in measured.items() if table not in text] == []


def test_every_figure_is_used_and_small() -> None:
    images = [path for path in (ROOT / "docs" / "figures").iterdir() if path.suffix != ".json"]
    text = "\n".join(page.read_text() for page in PAGES)
    assert [path.name for path in images if f"figures/{path.name}" not in text] == []
    assert sum(path.stat().st_size for path in images) < 1_000_000


def test_each_step_adds_two_cells_to_the_receptive_field(probes: ModuleType) -> None:
    views = probes.step_views(residual_steps(64, 64))
    for branch in range(1, 5):
        for chunk in range(1, 5):
            # b - c steps from chunk c down to branch b, and b steps along it, each 3x3.
            expected = 2 * (2 * branch - chunk) + 1 if chunk <= branch else 0
            assert probes.extent(views[f"{branch}.{branch}"][chunk - 1]) == expected
    assert probes.block_field(residual_steps(64, 64)) == 15
    assert probes.block_field(plain_bottleneck(64, 64)) == probes.block_field(bottleneck(256, 64)) == 3


def test_connections_are_those_of_the_module(probes: ModuleType) -> None:
    class Separate(ResidualStepsBlock):
        """Branches without connections between them."""

        @staticmethod
        def _run_branch(x, steps, previous_branch):  # type: ignore[no-untyped-def]
            return ResidualStepsBlock._run_branch(x, steps, [])

    def found(block: ResidualStepsBlock) -> set[tuple[str, str]]:
        probe = probes.evenly_weighted(block)
        return set(probes.wires(probe, probes.block_units(probe), torch.ones(1, 64, 16, 16).double()))

    whole, separate = found(residual_steps(64, 64)), found(Separate(64, 64, width=26))
    between = {(f"{b}.{step}", f"{b + 1}.{step}") for b in range(1, 4) for step in range(1, b + 1)}
    assert whole - separate == between
    assert separate < whole


def test_receptive_fields_of_a_plain_network(probes: ModuleType) -> None:
    # Stem 7x7 and pool 3x3 give 11 pixels; each 3x3 convolution, two per layer, adds twice its distance of cells.
    field, distance, expected = 11, 4, []
    for layer in range(4):
        field += 2 * distance
        if layer:
            distance *= 2
        field += 2 * distance
        expected.append(field)
    assert probes.layer_fields("res18") == expected
