"""rsn report: compare training runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rsn.cli.progress import info
from rsn.errors import RsnError


@dataclass(frozen=True)
class Report:
    """Compare training runs with each other and with published results: an HTML page, a Markdown table, curves."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN...")]
    """Output folders of rsn train."""
    output: Path = Path("out/report")
    """Folder for report.html, report.md and curves.png."""

    def run(self) -> int:
        """Write the report."""
        from rsn.extras import require

        require("matplotlib", extra="train", feature="reporting runs")
        from rsn.training.report import write_comparison

        if not self.runs:
            raise RsnError("Missing argument: expected at least one output folder of rsn train")
        info(f"wrote {write_comparison(self.runs, self.output)}")
        return 0
