"""rsn bulk: very many images in, Parquet files of people out."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from os.path import isfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from rsn.cli.detection_options import STARTER, DetectionOptions
from rsn.cli.progress import info
from rsn.errors import RsnError
from rsn.inference.backends import BackendChoice

if TYPE_CHECKING:
    from rsn.bulk.output import Settings
    from rsn.bulk.run import Tally

SPELLED_OUT = 5  # parts that failed
EVERY = 10.0  # seconds between lines of progress


@dataclass(frozen=True)
class Bulk(DetectionOptions):
    """Find the keypoints of people in very many images; writes Parquet files, and continues a run that was stopped."""

    inputs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="INPUT...")]
    """Images, tar shards (WebDataset) and Parquet files, folders of them at any depth, and globs: paths, or URLs
    such as s3://bucket/folder."""
    output: Annotated[str, tyro.conf.arg(metavar="DIR|URL")]
    """Folder to write to; with one of an earlier run, what that has not done is done."""
    column: str = "image"
    """Column of Parquet files that has the images: bytes of image files, or paths or URLs of them."""
    name_column: str | None = None
    """Column of Parquet files that has the images' names; without it they are FILE#ROW."""
    model: str = "rsn18.starter"
    """Name of weights, or a weights file."""
    flip: bool = False
    """Look at each person flipped too: twice the time, a little more precise."""
    backend: BackendChoice = "auto"
    """What runs the network; auto takes the fastest that is installed and as exact as PyTorch."""
    device: str = "auto"
    """cpu or cuda; auto takes CUDA where there is one."""
    batch_size: int = 32
    """People that the network looks at together."""
    workers: int | None = None
    """Processes that hold the network; by default one a GPU, or one for every two cores."""
    address: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")] = None
    """Head of a Ray cluster that does the work; without it this machine does."""
    images_per_part: int = 1000
    """Images in one output file, at most; tar shards are not divided."""

    def run(self) -> int:
        """Exit status: 0 when every image was done."""
        from rsn.extras import require

        require("ray", "pyarrow", "fsspec", extra="bulk", feature="rsn bulk")
        from rsn.bulk.run import estimate_in_bulk

        settings = self._settings()
        self.report_detector()
        tally = estimate_in_bulk(
            settings,
            self.output,
            _progress(),
            device=self.device,
            batch_size=self.batch_size,
            address=self.address,
            workers=self.workers,
            images_per_part=self.images_per_part,
        )
        return self._tell(tally)

    def _settings(self) -> "Settings":
        """What is asked for, with what can be found wrong before any work is done."""
        from rsn.bulk.output import Settings
        from rsn.bulk.storage import connect, full_name
        from rsn.detection.loading import STARTER_WEIGHTS, default_box_threshold
        from rsn.inference.box_sources import BoxFile
        from rsn.io.downloads import sha256_of
        from rsn.results import check_threshold
        from rsn.weights.loading import load_metadata, weights_path

        if not self.inputs:
            raise RsnError("name at least one image, folder, tar shard or Parquet file")
        if min(self.images_per_part, self.batch_size, 1 if self.workers is None else self.workers) < 1:
            raise RsnError("--workers, --batch-size and --images-per-part must be at least 1")
        for name in ("box_threshold", "person_threshold"):
            if (value := getattr(self, name)) is not None:
                check_threshold(name, value)
        self.check_detector()
        if self.device not in ("auto", "cpu", "cuda"):
            raise RsnError(f"--device is auto, cpu or cuda, not {self.device}; Ray gives each worker its GPU")
        metadata = load_metadata(self.model)
        boxes = _absolute(self.boxes)
        detector = _absolute(self.detector) if self.boxes == "detect" else ""
        if self.boxes not in ("whole", "detect"):
            self.report_boxes(BoxFile.read(Path(boxes), category=self.box_category))

        def of_file(path: Path) -> str:
            return sha256_of(path) if isfile(path) else ""

        default = metadata.person_threshold if self.boxes == "detect" else 0.0
        return Settings(
            inputs=tuple(full_name(*connect(given)) for given in self.inputs),
            column=self.column,
            name_column=self.name_column,
            model=_absolute(self.model),
            model_sha256=of_file(weights_path(self.model)),
            boxes=boxes,
            box_category=self.box_category or "",
            boxes_sha256=of_file(Path(boxes)),
            detector=detector,
            detector_sha256=of_file(weights_path(STARTER_WEIGHTS) if detector == STARTER else Path(detector)),
            box_threshold=default_box_threshold(detector)
            if self.box_threshold is None
            else self.box_threshold,
            person_threshold=default if self.person_threshold is None else self.person_threshold,
            flip=self.flip,
            backend=self.backend,
        )

    def _tell(self, tally: "Tally") -> int:
        if tally.done:
            by = " and ".join(sorted(tally.by))
            info(f"{tally.progress()}; people: {tally.people}, by {by}; {self.output}/people")
        elif not tally.left:
            info(f"all {tally.parts} parts were done before; {self.output}/people")
        if said := tally.notes.sentence():
            info(said)
        if tally.unreadable:
            info(f"{tally.unreadable} images could not be done; {self.output}/unreadable says why")
        for number, reason in sorted(tally.failed.items())[:SPELLED_OUT]:
            info(f"part {number}: {reason}")
        if tally.failed:
            info(
                f"{len(tally.failed)} of {tally.parts} parts are not done; the same command tries them again"
            )
        return 1 if tally.failed or tally.unreadable else 0


def _progress() -> "Callable[[Tally], None]":
    """What shows the progress now and then."""
    last = time.monotonic()

    def show(tally: "Tally") -> None:
        nonlocal last
        if tally.left and time.monotonic() - last > EVERY:
            last = time.monotonic()
            info(tally.progress())

    return show


def _absolute(name: str) -> str:
    """The full path of a file; what is none stays a name."""
    return str(Path(name).resolve()) if isfile(name) else name
