"""rsn export: a model as a file that other programs run."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from rsn.errors import RsnError

if TYPE_CHECKING:
    from rsn.data.annotations import PoseDataset


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a model as a file that a runtime runs without rsn; it is checked against PyTorch before it is kept."""

    model: Annotated[str, tyro.conf.Positional]
    """Name of weights, or a weights file."""
    format: Annotated[str, tyro.conf.arg(metavar="onnx|openvino|torch-export")]
    """What it is written as."""
    output: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """OUT.onnx, OUT.xml or OUT.pt2, as the format has it; FILE.json beside it says what it is."""
    preprocess: bool = False
    """Take crops as images lie in memory, (N, H, W, 3), and not (N, 3, H, W); uint8 RGB either way."""
    decode: bool = False
    """Answer keypoints in pixels of the crop, and their scores, besides the heatmaps."""
    precision: Annotated[str, tyro.conf.arg(metavar="fp32|fp16|int8")] = "fp32"
    """Of the weights in the file; fp16 halves it, int8 (OpenVINO) quarters it and computes in 8 bits."""
    calibration: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """For int8: labeled people such as it will see, 100 of whom show how large its numbers get; COCO-keypoints JSON or
    MPII's list. Take none that you measure it on."""
    images: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder of the images that --calibration names."""
    check: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="IMAGE...")] = ()
    """Images to compare its answers with PyTorch's on, before it is kept; drawn metrics by default."""

    def run(self) -> int:
        """Exit status 0; what is wrong is raised."""
        from rsn.cli.progress import info
        from rsn.export.run import described, export_model

        export, comparison = export_model(
            self.model,
            self.output,
            format=self.format,
            preprocess=self.preprocess,
            decode=self.decode,
            precision=self.precision,
            images=self.check,
            calibration=self._people(),
        )
        info(comparison.summary(export.precision, decoded=export.decode))
        info(f"{self.output}, {export.precision}: {export.metadata.summary()}; {described(self.output)}")
        return 0

    def _people(self) -> "PoseDataset | None":
        from rsn.data.reading import read_people_file

        if self.calibration is None or self.images is None:
            if self.calibration or self.images:
                raise RsnError("--calibration FILE and --images DIR go together")
            return None
        return read_people_file(self.calibration, self.images)
