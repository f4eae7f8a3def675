"""Write docs/ablation_*.csv into docs/ablation.md as tables, each between two comments that name it.

Usage: python scripts/ablation_table.py
"""

import csv
from pathlib import Path
from statistics import mean

from ablation import BEGINNINGS
from figures.tables import Table, as_markdown

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- scripts/ablation_table.py: {} -->\n\n", "\n\n<!-- end of the table -->"
BASELINE = "baseline"

Measured = dict[str, dict[int, float]]  # by switch and seed: mean OKS in percent


def main() -> None:
    """Update the page."""
    page = DOCS / "ablation.md"
    page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")


def with_tables(page: str) -> str:
    """Return the text of the page with the measured tables."""
    for beginning in BEGINNINGS:
        page = with_table(page, beginning, table_of(read(DOCS / f"ablation_{beginning}.csv")))
    return page


def read(path: Path) -> Measured:
    """Read the rows that scripts/ablation.py has written."""
    measured: Measured = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            measured.setdefault(row["switch"], {})[int(row["seed"])] = float(row["mean OKS"])
    return measured


def table_of(measured: Measured) -> Table:
    """Return one row per switch: mean of the seeds, their difference, gain over the baseline of the same seeds."""
    rows = [["switch", "mean OKS, %", "seed difference", "gain", "gain by seed"]]
    for switch, by_seed in measured.items():
        gains = [oks - measured[BASELINE][seed] for seed, oks in sorted(by_seed.items())]
        difference = f"{max(by_seed.values()) - min(by_seed.values()):.2f}" if len(by_seed) > 1 else ""
        gain_columns = (
            ["", ""]
            if switch == BASELINE
            else [f"{round(mean(gains), 2) + 0.0:+.2f}", ", ".join(f"{gain:+.2f}" for gain in gains)]
        )
        rows.append([switch, f"{mean(by_seed.values()):.2f}", difference, *gain_columns])
    return rows


def with_table(page: str, beginning: str, table: Table) -> str:
    """Return the text of the page with a table between its comments."""
    begin = BEGIN.format(beginning)
    before, after = page.split(begin)
    return before + begin + as_markdown(table) + END + after.split(END, 1)[1]


if __name__ == "__main__":
    main()
