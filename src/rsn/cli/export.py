"""rsn export: a model as a file for other runtimes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from rsn.errors import RsnError

if TYPE_CHECKING:
    from rsn.data.annotations import PoseDataset


@dataclass(frozen=True, kw_only=True)
class Export:
    """Export a model to a file that runs without rsn; its outputs are compared with PyTorch before it is saved."""

    model: Annotated[str, tyro.conf.Positional]
    """Name of weights, or a weights file."""
    format: Annotated[str, tyro.conf.arg(metavar="onnx|openvino|torch-export")]
    """Format of the file."""
    output: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """OUT.onnx, OUT.xml or OUT.pt2, by format; FILE.json beside it holds the model metadata."""
    preprocess: bool = False
    """Input of shape (N, H, W, 3) instead of (N, 3, H, W); uint8 RGB in both cases."""
    decode: bool = False
    """Also output keypoints in pixels of the crop, and their scores."""
    precision: Annotated[str, tyro.conf.arg(metavar="fp32|fp16|int8")] = "fp32"
    """Precision of the weights: fp16 halves the file, int8 (OpenVINO) quarters it and computes in 8 bits."""
    calibration: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """For int8: annotations of similar images (COCO-keypoints JSON or MPII's list); 100 people calibrate the ranges.
    Do not take the images of the evaluation."""
    images: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder of the images that --calibration names."""
    check: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="IMAGE...")] = ()
    """Images for the comparison with PyTorch; drawn people by default."""

    def run(self) -> int:
        """Exit status 0; errors are raised."""
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
        from rsn.data.reading import read_dataset

        if self.calibration is None or self.images is None:
            if self.calibration or self.images:
                raise RsnError("--calibration FILE and --images DIR go together")
            return None
        return read_dataset(self.calibration, self.images)
