"""rsn report: training runs side by side."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rsn.cli.progress import info
from rsn.errors import RsnError


@dataclass(frozen=True)
class Report:
    """Lay training runs side by side, each beside the published row: a page, a Markdown table, curves."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN...")]
    """Output folders of rsn train."""
    output: Path = Path("out/report")
    """Folder to write report.html, report.md and curves.png to."""

    def run(self) -> int:
        """Exit status 0; what is wrong is raised."""
        from rsn.extras import require

        require("pydantic", "matplotlib", extra="train", feature="reporting runs")
        from rsn.training.report import write_comparison

        if not self.runs:
            raise RsnError("name at least one folder of a training run")
        info(f"wrote {write_comparison(self.runs, self.output)}")
        return 0
