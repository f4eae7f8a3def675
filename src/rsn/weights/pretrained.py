"""Weights that others have published: fetched when they are asked for, checked, kept in the user's cache."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from rsn.errors import DownloadError, RsnError, WeightsError
from rsn.io.downloads import download, sha256_of
from rsn.weights.metadata import ModelMetadata
from rsn.weights.published import read_table

MIRROR, CACHE = "RSN_MIRROR", "RSN_CACHE"  # environment variables
_OPENMMLAB = "https://download.openmmlab.com/mmpose/"


@dataclass(frozen=True)
class PretrainedWeights:
    """Weights on a server of others.

    model: name in the catalog. path: below the server's address; the file's name tells the first digits of its
    SHA-256. metrics: the publisher's, as fractions. Codec and bbox_padding follow from the tensors' layout.
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
        """Where it is: below RSN_MIRROR where that is set, else on the server that published it."""
        return (os.environ.get(MIRROR) or self.server).rstrip("/") + "/" + self.path

    @property
    def cached(self) -> Path:
        """Where it lies once it was fetched."""
        return cache_folder() / "weights" / Path(self.path).name

    @property
    def is_cached(self) -> bool:
        """Whether it was fetched, or put there; not so where nobody can tell."""
        return os.path.isfile(self.cached)  # Path.is_file raises what it is not prepared for

    def complete(self, metadata: ModelMetadata) -> ModelMetadata:
        """What the tensors told, and what they could not."""
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


def cache_folder() -> Path:
    """Where fetched files are kept: RSN_CACHE, else rsn/ in XDG_CACHE_HOME, else ~/.cache/rsn.

    Raises:
        RsnError: RSN_CACHE begins with the home of a user that there is not.
    """
    named = os.environ.get(CACHE)
    if not named:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rsn"
    try:
        return Path(named).expanduser()
    except RuntimeError as error:
        raise RsnError(f"{CACHE} is {named}, and there is no such home; give a full path") from error


def fetch(weights: PretrainedWeights) -> Path:
    """The file of published weights in the cache, downloaded if it is not there; its SHA-256 is checked every time.

    A file that was put there by hand is used too.

    Raises:
        DownloadError: it cannot be downloaded, or not be kept. WeightsError: the file in the cache is not the one it
            should be, or cannot be read.
    """
    path = weights.cached
    if not weights.is_cached:
        try:
            download(weights.url, path, sha256_prefix=weights.sha256_prefix)
        except RsnError as error:
            raise DownloadError(
                f"{error}; or put the file into {path.parent} yourself ({CACHE} names another cache)"
            ) from error
    try:
        found = sha256_of(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not found.startswith(weights.sha256_prefix):
        raise WeightsError(
            f"{path}: is not the file that was published, or has changed: its SHA-256 is {found}, and should begin"
            f" with {weights.sha256_prefix}; delete it, and it will be downloaded again"
        )
    return path
