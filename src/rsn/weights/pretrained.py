"""Published third-party weights: downloaded at the first use, checked, and cached."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from rsn.errors import DownloadError, RsnError, WeightsError
from rsn.io.cache import CACHE, cache_folder
from rsn.io.downloads import download, sha256_of
from rsn.weights.metadata import ModelMetadata
from rsn.weights.published import read_table

MIRROR = "RSN_MIRROR"  # environment variable
_OPENMMLAB = "https://download.openmmlab.com/mmpose/"


@dataclass(frozen=True)
class PretrainedWeights:
    """Weights on a third-party server.

    model: name in the catalog. path: on the server. sha256_prefix: first digits of the file's SHA-256, from its name.
    metrics: published ones, as fractions. Codec and bbox_padding follow from the format of the tensors.
    """

    model: str
    path: str
    sha256_prefix: str
    metrics: dict[str, float]
    server: str = _OPENMMLAB
    input_size: tuple[int, int] = (256, 192)
    trained_on: str = "COCO train2017, by OpenMMLab"
    license: str = "Apache-2.0"
    notes: str = "metrics are OpenMMLab's, on COCO val2017 with boxes of a detector of 56.4 AP and flip test"

    @property
    def url(self) -> str:
        """The address of the file: on RSN_MIRROR if that is set, else on the server that published it."""
        return (os.environ.get(MIRROR) or self.server).rstrip("/") + "/" + self.path

    @property
    def cached(self) -> Path:
        """The path of the file in the cache."""
        return cache_folder() / "weights" / Path(self.path).name

    @property
    def is_cached(self) -> bool:
        """Whether the file is in the cache."""
        return os.path.isfile(self.cached)  # unlike Path.is_file, it raises nothing for an unusable path

    def complete(self, metadata: ModelMetadata) -> ModelMetadata:
        """The metadata inferred from the tensors, completed with what is known about the file."""
        return replace(
            metadata,
            input_size=self.input_size,
            trained_on=self.trained_on,
            license=self.license,
            notes=self.notes,
            metrics=self.metrics,
        )


PRETRAINED: dict[str, PretrainedWeights] = {
    f"{row['model']}.openmmlab": PretrainedWeights(
        row["model"], row["path"], row["sha256_prefix"], {"AP": float(row["AP"]), "AR": float(row["AR"])}
    )
    for row in read_table("pretrained")
}


def fetch(weights: PretrainedWeights) -> Path:
    """The file of published weights in the cache, downloaded if it is missing; its SHA-256 is always checked.

    A file that was copied there by hand is used, too.

    Raises:
        DownloadError: it cannot be downloaded or stored. WeightsError: the file in the cache has another SHA-256 or
            cannot be read.
    """
    path = weights.cached
    if not weights.is_cached:
        try:
            download(weights.url, path, sha256_prefix=weights.sha256_prefix)
        except RsnError as error:
            raise DownloadError(
                f"{error}; or copy the file into {path.parent} yourself ({CACHE} sets another cache folder)"
            ) from error
    try:
        found = sha256_of(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not found.startswith(weights.sha256_prefix):
        raise WeightsError(
            f"{path}: is not the published file: expected a SHA-256 that begins with {weights.sha256_prefix}, got"
            f" {found}; delete it to download it again"
        )
    return path
