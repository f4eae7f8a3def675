"""The page on the ablation holds the measured tables and explains every switch."""

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "ablation.md"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module("ablation_table")


def test_page_holds_the_measured_tables(script: ModuleType) -> None:
    page = PAGE.read_text()
    assert page == script.with_tables(page), "run scripts/ablation_table.py"


def test_gain_is_over_the_baseline_of_the_same_seed(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(
        'switch,seed,mean OKS\nbaseline,1,20.00\n"AdamW, 0.01",1,21.50\nbaseline,2,24.00\n"AdamW, 0.01",2,24.50\n'
        "cosine,1,19.00\n"
    )
    _, *rows = script.table_of(script.read(tmp_path / "table.csv"))
    assert rows == [
        ["baseline", "22.00", "4.00", "", ""],
        ["AdamW, 0.01", "23.00", "3.00", "+1.00", "+1.50, +0.50"],
        ["cosine", "19.00", "", "-1.00", "-1.00"],
    ]


def test_page_explains_every_switch(script: ModuleType) -> None:
    measuring = importlib.import_module("ablation")
    explained = set(re.findall(r"^\| ([^|]+) \| `", PAGE.read_text(), re.MULTILINE))
    assert explained | {script.BASELINE} == set(measuring.SWITCHES)
    for beginning in script.BEGINNINGS:
        table = script.read(PAGE.parent / f"ablation_{beginning}.csv")
        assert set(table) == set(measuring.switches_of(beginning))
        assert all(set(by_seed) == set(measuring.SEEDS) for by_seed in table.values())
