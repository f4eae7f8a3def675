"""rsn benchmark: how fast prediction is on this machine."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rsn.inference.backends import BackendChoice


@dataclass(frozen=True)
class Benchmark:
    """Time a model stage by stage, by one backend or several beside each other."""

    model: Annotated[str, tyro.conf.Positional] = "rsn18.starter"
    """Name of weights, or a weights file."""
    backend: tuple[BackendChoice, ...] = ("auto",)
    """What runs the network; of several there is a table that compares them."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes CUDA, else MPS, where there is one."""
    batch_size: int = 32
    """People that the network looks at together."""
    flip: bool = False
    """With the flip test."""
    repeats: int = 20
    """Runs of each that count."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="OUT")] = None
    """File to write the metrics to."""

    def run(self) -> int:
        """Exit status 0; what is wrong is raised."""
        from rsn.benchmark import benchmark
        from rsn.io.files import make_folder, write_atomically

        report = benchmark(
            self.model,
            self.backend,
            device=self.device,
            batch_size=self.batch_size,
            flip=self.flip,
            repeats=self.repeats,
        )
        print(report.table())
        if self.json:
            make_folder(self.json.parent)
            write_atomically(self.json, (json.dumps(report.as_dict(), indent=1) + "\n").encode())
        return 0
