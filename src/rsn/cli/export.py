"""rsn export: a model as a file that other programs run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a model as a file that a runtime runs without rsn; it is checked against PyTorch before it is kept."""

    model: Annotated[str, tyro.conf.Positional]
    """Name of weights, or a weights file."""
    format: Annotated[str, tyro.conf.arg(metavar="onnx|openvino|torch-export|torchscript|tensorrt")]
    """What it is written as."""
    output: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """OUT.onnx, OUT.xml, OUT.pt2 or OUT.ts, as the format has it; FILE.json beside it says what it is."""
    preprocess: bool = False
    """Take crops as pictures lie in memory, (N, H, W, 3), and not (N, 3, H, W); uint8 RGB either way."""
    decode: bool = False
    """Answer joints in pixels of the crop, and their scores, besides the heatmaps."""
    precision: Annotated[str, tyro.conf.arg(metavar="fp32|fp16")] = "fp32"
    """Of the weights in the file; fp16 halves it."""
    check: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="PHOTO...")] = ()
    """Photos to compare its answers with PyTorch's on, before it is kept; drawn figures by default."""

    def run(self) -> int:
        """Exit status 0; what is wrong is raised."""
        from rsn.cli.progress import say
        from rsn.exporting.run import described, export_model

        export, comparison = export_model(
            self.model,
            self.output,
            format=self.format,
            preprocess=self.preprocess,
            decode=self.decode,
            precision=self.precision,
            photos=self.check,
        )
        say(comparison.summary(export.precision, decoded=export.decode))
        say(f"{self.output}, {export.precision}: {export.card.summary()}; {described(self.output)}")
        return 0
