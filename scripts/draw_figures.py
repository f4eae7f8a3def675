"""Draw the figures of the documentation, and measure the tables beside them.

Usage: python scripts/draw_figures.py [FOLDER]

FOLDER is docs/figures by default. The tables are printed, written to measured.json beside the figures, and updated in
the pages docs/architecture.md, docs/coordinates.md, docs/your-own-keypoints.md and docs/speed.md; a test compares them.
The tables of the last two come from the CSV files in benchmarks/.
"""

import json
import sys
from pathlib import Path

import torch
from figures import block, codec, finetuning, geometry, pipeline, speed, stages, supervision
from figures.tables import as_markdown

FOLDER = Path(__file__).parents[1] / "docs" / "figures"


def main(folder: Path) -> None:
    """Write all figures and tables."""
    folder.mkdir(parents=True, exist_ok=True)
    measured = {}
    for part in (pipeline, block, stages, supervision, codec, geometry, finetuning, speed):
        torch.manual_seed(0)
        measured |= {name: as_markdown(table) for name, table in part.draw(folder).items()}
    if folder == FOLDER:
        _put_on_pages(json.loads((folder / "measured.json").read_text()), measured)
    (folder / "measured.json").write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n")
    for name, table in measured.items():
        print(f"{name}\n\n{table}\n")


def _put_on_pages(before: dict[str, str], now: dict[str, str]) -> None:
    for page in FOLDER.parent.glob("*.md"):
        text = page.read_text()
        for name, table in now.items():
            text = text.replace(before.get(name, table), table)
        page.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
