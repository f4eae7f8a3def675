"""The settings that decide the results of a run."""

from dataclasses import dataclass, field, replace
from os.path import isfile
from pathlib import Path

from rsn.bulk.storage import connect, full_name
from rsn.detection.loading import default_box_threshold
from rsn.detection.starter import STARTER, STARTER_WEIGHTS, STARTERS
from rsn.errors import RsnError, check_threshold
from rsn.io.downloads import sha256_of
from rsn.weights.sources import load_metadata, pose_metadata, weights_path

FORMAT = 3  # of the output folder; increased by changes that break readers


@dataclass(frozen=True)
class Settings:
    """Options of `rsn bulk` that must not change between runs into one folder. sha256: of model, boxes, detector."""

    inputs: tuple[str, ...] = ()
    model: str = "rsn18.starter"
    boxes: str = "detect"
    box_category: str | None = None
    detector: str = STARTER
    box_threshold: float | None = None
    person_threshold: float | None = None
    column: str = "image"
    name_column: str | None = None
    flip: bool = False
    backend: str = "auto"
    sha256: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT

    def resolve(self) -> "Settings":
        """The same with full paths, checksums of files, and numbers for the default thresholds.

        Raises:
            RsnError: no inputs, unknown weights, or a threshold that is not between 0 and 1.
        """
        if not self.inputs:
            raise RsnError("Invalid inputs: expected at least one image, folder, tar shard or Parquet file")
        for name in ("box_threshold", "person_threshold"):
            if (threshold := getattr(self, name)) is not None:
                check_threshold(name, threshold)
        metadata = pose_metadata(load_metadata(self.model), self.model)
        detects = self.boxes == "detect"
        default = metadata.person_threshold if detects else 0.0
        files = {
            "model": weights_path(self.model),
            "boxes": Path(self.boxes),
            "detector": weights_path(STARTER_WEIGHTS) if self.detector in STARTERS else Path(self.detector),
        }
        return replace(
            self,
            inputs=tuple(full_name(*connect(given)) for given in self.inputs),
            model=_full_path(self.model),
            boxes=_full_path(self.boxes),
            detector=_full_path(self.detector),
            box_threshold=default_box_threshold(self.detector) if self.box_threshold is None else self.box_threshold,
            person_threshold=default if self.person_threshold is None else self.person_threshold,
            sha256={name: sha256_of(path) for name, path in files.items() if isfile(path)},
        )


def _full_path(name: str) -> str:
    """The full path of a file; names that are no file stay as they are."""
    return str(Path(name).resolve()) if isfile(name) else name
