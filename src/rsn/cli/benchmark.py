"""rsn benchmark: speed of prediction on this machine."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rsn.inference.backends import BackendChoice


@dataclass(frozen=True)
class Benchmark:
    """Measure the speed of prediction on this machine, and how near the networks come to its limit.

    The limit is the rate of a product of float32 matrices, which is measured in the same run with as many threads.
    """

    model: Annotated[str, tyro.conf.Positional] = "rsn18.starter"
    """Name of weights, or a weights file."""
    image: tuple[Path, ...] = ()
    """Images, or folders of images, to predict; a drawn image of two people by default."""
    backend: tuple[BackendChoice, ...] = ("auto",)
    """Inference backend; several are compared."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes CUDA or MPS if available."""
    repeats: int = 5
    """Measured runs of each network. All images are processed, and at least 8 times as many as this number."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="OUT")] = None
    """File to write the metrics to."""

    def run(self) -> int:
        """Exit status 0; errors are raised."""
        from rsn.benchmark import benchmark, format_report
        from rsn.io.files import atomic_write, make_folder
        from rsn.io.images import find_images

        paths = find_images(self.image)
        report = benchmark(self.model, self.backend, device=self.device, images=paths, repeats=self.repeats)
        print(format_report(report))
        if self.json:
            make_folder(self.json.parent)
            atomic_write(self.json, (json.dumps(report, indent=1) + "\n").encode())
        return 0
