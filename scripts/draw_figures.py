"""Draw the figures of the documentation, and measure the tables that stand beside them.

Usage: python scripts/draw_figures.py [FOLDER]

FOLDER is docs/figures by default. The tables are printed and, as measured.json, written beside the figures; the pages
docs/how-it-works.md and docs/coordinates.md hold them word by word, which a test compares.
"""

import json
import sys
from pathlib import Path

import torch
from figures import block, codec, geometry, road, stages, supervision
from figures.tables import as_markdown

FOLDER = Path(__file__).parents[1] / "docs" / "figures"


def main(folder: Path) -> None:
    """Write all figures and what was measured for them."""
    folder.mkdir(parents=True, exist_ok=True)
    measured = {}
    for part in (road, block, stages, supervision, codec, geometry):
        torch.manual_seed(0)
        measured |= {name: as_markdown(table) for name, table in part.draw(folder).items()}
    (folder / "measured.json").write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n")
    for name, table in measured.items():
        print(f"{name}\n\n{table}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
