"""rsn benchmark: speed of prediction on this machine."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rsn.inference.backends import BackendChoice


@dataclass(frozen=True)
class Benchmark:
    """Measure the speed of a model, stage by stage, with one backend or several."""

    model: Annotated[str, tyro.conf.Positional] = "rsn18.starter"
    """Name of weights, or a weights file."""
    backend: tuple[BackendChoice, ...] = ("auto",)
    """Inference backend; several are compared in a table."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes CUDA or MPS if available."""
    batch_size: int = 32
    """Crops per batch."""
    flip: bool = False
    """Measure with the flip test."""
    repeats: int = 20
    """Measured runs of each stage."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="OUT")] = None
    """File to write the metrics to."""

    def run(self) -> int:
        """Exit status 0; errors are raised."""
        from rsn.benchmark import benchmark, format_report
        from rsn.io.files import atomic_write, make_folder

        report = benchmark(
            self.model,
            self.backend,
            device=self.device,
            batch_size=self.batch_size,
            flip_test=self.flip,
            repeats=self.repeats,
        )
        print(format_report(report))
        if self.json:
            make_folder(self.json.parent)
            atomic_write(self.json, (json.dumps(report, indent=1) + "\n").encode())
        return 0
