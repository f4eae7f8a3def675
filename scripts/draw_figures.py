"""Draw the figures of the documentation, and measure the tables beside them.

    python scripts/draw_figures.py                # all
    python scripts/draw_figures.py --only speed   # one module of scripts/figures/, after new benchmarks

The tables are printed, written to measured.json beside the figures, and updated in the pages of docs/; a test compares
them. Those of the modules speed and finetuning come from the CSV files in benchmarks/.
"""

import argparse
import importlib
import json
from pathlib import Path

import torch
from figures.tables import as_markdown

FOLDER = Path(__file__).parents[1] / "docs" / "figures"
MODULES = ("pipeline", "block", "stages", "supervision", "codec", "geometry", "finetuning", "speed")


def main() -> None:
    """Write figures and tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="folder to write to")
    parser.add_argument("--only", nargs="+", choices=MODULES, default=MODULES)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    record = options.folder / "measured.json"
    before = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    measured = {}
    for name in options.only:
        torch.manual_seed(0)
        tables = importlib.import_module(f"figures.{name}").draw(options.folder)
        measured |= {title: as_markdown(table) for title, table in tables.items()}
    if options.folder == FOLDER:
        _put_on_pages(before, measured)
    kept = {} if options.only == MODULES else before
    record.write_text(json.dumps(kept | measured, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for title, table in measured.items():
        print(f"{title}\n\n{table}\n")


def _put_on_pages(before: dict[str, str], now: dict[str, str]) -> None:
    for page in FOLDER.parent.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        for name, table in now.items():
            text = text.replace(before.get(name, table), table)
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
