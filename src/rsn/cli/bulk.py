"""rsn bulk: very many images in, Parquet files of people out."""

import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from rsn.cli.detection_options import DetectionOptions
from rsn.cli.progress import info
from rsn.errors import RsnError

if TYPE_CHECKING:
    from rsn.bulk.run import Progress

PROGRESS_INTERVAL_S = 10.0


@dataclass(frozen=True)
class Bulk(DetectionOptions):
    """Predict the keypoints of people in very many images, into Parquet files; continues a run that was stopped."""

    inputs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="INPUT...")]
    """Images, tar shards (WebDataset), Parquet files, folders (searched at any depth) and globs: paths, or URLs
    such as s3://bucket/folder."""
    output: Annotated[str, tyro.conf.arg(metavar="DIR|URL")]
    """Folder to write to; a run that was stopped continues if its folder is given."""
    column: str = "image"
    """Column of Parquet files with the images: bytes of image files, or paths or URLs of them."""
    name_column: str | None = None
    """Column of Parquet files with the names of the images; FILE#ROW by default."""
    model: str = "rsn18.starter"
    """Name of weights, or a weights file."""
    workers: int | None = None
    """Processes that hold the network; by default one per GPU, or one per two cores."""
    address: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")] = None
    """Head of a running Ray cluster; without it Ray is started on this machine."""
    images_per_part: int = 1000
    """Largest number of images in one output file; tar shards are not divided."""

    def run(self) -> int:
        """Exit status: 0 if every image was processed."""
        from rsn.extras import require

        require("ray", "pyarrow", "fsspec", extra="bulk", feature="rsn bulk")
        from rsn.bulk.run import run_bulk
        from rsn.bulk.settings import Settings
        from rsn.inference.box_sources import BoxFile

        if min(self.images_per_part, self.batch_size, 1 if self.workers is None else self.workers) < 1:
            raise RsnError("--workers, --batch-size and --images-per-part must be at least 1")
        if self.device not in ("auto", "cpu", "cuda"):
            raise RsnError(f"Invalid --device: expected auto, cpu or cuda, got {self.device}; Ray assigns the GPUs")
        self.check_detector()
        options: dict[str, Any] = {
            option.name: getattr(self, option.name) for option in fields(Settings) if hasattr(self, option.name)
        }
        settings = Settings(**options).resolve()
        if self.boxes not in ("whole", "detect"):
            self.report_boxes(BoxFile.read(Path(self.boxes), category=self.box_category))
        self.report_detector()
        last = time.monotonic()

        def report(progress: "Progress") -> None:
            nonlocal last
            if progress.left and time.monotonic() - last > PROGRESS_INTERVAL_S:
                last = time.monotonic()
                info(progress.line())

        progress = run_bulk(
            settings, self.output, report, device=self.device, batch_size=self.batch_size,
            address=self.address, workers=self.workers, images_per_part=self.images_per_part,
        )  # fmt: skip
        for line in progress.summary(self.output):
            info(line)
        return 1 if progress.failed or progress.unreadable else 0
