"""Weights that others have published: fetched when they are asked for, checked, kept in the user's cache."""

import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

from rsn.downloads import download, sha256_of
from rsn.errors import DownloadError, RsnError, RsnWarning, WeightsError
from rsn.files import write_atomically
from rsn.networks.card import Card

MIRROR, CACHE = "RSN_MIRROR", "RSN_CACHE"  # environment variables
_OPENMMLAB = "https://download.openmmlab.com/mmpose/"


@dataclass(frozen=True)
class PublishedWeights:
    """Weights on a server of others.

    model: name in the catalog. path: below the server's address; the file's name tells the first digits of its
    SHA-256. figures: the publisher's, as fractions. Decoder and box extension follow from the tensors' layout.
    """

    model: str
    path: str
    sha256_prefix: str
    figures: dict[str, float]
    server: str = _OPENMMLAB
    input_size: tuple[int, int] = (256, 192)
    trained_on: str = "COCO train2017, by OpenMMLab"
    license: str = "Apache-2.0"
    notes: str = "figures are OpenMMLab's, on COCO val2017 with boxes of a detector of 56.4 AP and flip test"

    @property
    def url(self) -> str:
        """Where it is: below RSN_MIRROR where that is set, else on the server that published it."""
        return (os.environ.get(MIRROR) or self.server).rstrip("/") + "/" + self.path

    @property
    def cached(self) -> Path:
        """Where it lies once it was fetched."""
        return cache_folder() / "weights" / Path(self.path).name

    @property
    def is_here(self) -> bool:
        """Whether it was fetched, or put there; not so where nobody can tell."""
        return os.path.isfile(self.cached)  # Path.is_file raises what it is not prepared for

    def complete(self, card: Card) -> Card:
        """What the tensors told, and what they could not."""
        return replace(
            card,
            input_size=self.input_size,
            trained_on=self.trained_on,
            license=self.license,
            notes=self.notes,
            figures=self.figures,
        )


def _coco(model: str, ap: float, ar: float, folder: str, file: str) -> PublishedWeights:
    """An entry of OpenMMLab's tables, whose file names end in _HASH_DATE.pth or -HASH_DATE.pth."""
    prefix = file.rsplit("_", 1)[0][-8:]
    return PublishedWeights(model, f"{folder}/{file}", prefix, {"AP": ap / 100, "AR": ar / 100})


_RSN, _MSPN = "v1/body_2d_keypoint/topdown_heatmap/coco", "top_down/mspn"
ZOO: dict[str, PublishedWeights] = {
    f"{weights.model}.openmmlab": weights
    for weights in (
        _coco("rsn18", 70.4, 77.3, _RSN, "td-hm_rsn18_8xb32-210e_coco-256x192-9049ed09_20221013.pth"),
        _coco("rsn50", 72.4, 79.0, _RSN, "td-hm_rsn50_8xb32-210e_coco-256x192-c35901d5_20221013.pth"),
        _coco("2xrsn50", 74.8, 81.0, _RSN, "td-hm_2xrsn50_8xb32-210e_coco-256x192-9ede341e_20221013.pth"),
        _coco("3xrsn50", 75.0, 81.4, _RSN, "td-hm_3xrsn50_8xb32-210e_coco-256x192-c3e3c4fe_20221013.pth"),
        _coco("mspn50", 72.3, 78.8, _MSPN, "mspn50_coco_256x192-8fbfb5d0_20201123.pth"),
        _coco("2xmspn50", 75.4, 81.6, _MSPN, "2xmspn50_coco_256x192-c8765a5c_20201123.pth"),
        _coco("3xmspn50", 75.8, 82.1, _MSPN, "3xmspn50_coco_256x192-e348f18e_20201123.pth"),
        _coco("4xmspn50", 76.5, 82.6, _MSPN, "4xmspn50_coco_256x192-7b837afb_20201123.pth"),
    )
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


def fetch(weights: PublishedWeights) -> Path:
    """The file of published weights in the cache, fetched if it is not there; its hash is checked every time.

    The first time the full SHA-256 is written beside it (FILE.sha256), and from then on nothing else will do; in a
    cache that cannot be written to, an `RsnWarning` says that it was not. A file that somebody else put there is taken
    too, if its hash begins as it should.

    Raises:
        DownloadError: it cannot be fetched, or not be kept. WeightsError: the file in the cache is not the one it
            should be, or cannot be read.
    """
    path = weights.cached
    if not weights.is_here:
        try:
            download(weights.url, path, sha256_prefix=weights.sha256_prefix)
        except RsnError as error:
            raise DownloadError(
                f"{error}; or put the file into {path.parent} yourself ({CACHE} names another cache)"
            ) from error
    try:
        found, recorded = sha256_of(path), _recorded(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error})") from error
    expected = weights.sha256_prefix if recorded is None else recorded
    if not found.startswith(weights.sha256_prefix) or not found.startswith(expected):
        raise WeightsError(
            f"{path}: is not the file that was published, or has changed: its SHA-256 is {found}, and should begin"
            f" with {expected}; delete it and its .sha256, and it will be fetched again"
        )
    if recorded is None:
        _record(path, found, weights.sha256_prefix)
    return path


def _recorded(path: Path) -> str | None:
    """The SHA-256 that was written beside a file; None where none was."""
    try:
        return _beside(path).read_text(errors="replace").partition(" ")[0]
    except FileNotFoundError:
        return None


def _record(path: Path, sha256: str, prefix: str) -> None:
    try:
        write_atomically(_beside(path), f"{sha256}  {path.name}\n".encode())
    except RsnError as error:
        warnings.warn(
            f"{path}: its SHA-256 begins with {prefix}, as it should, but could not be recorded: {error}",
            RsnWarning,
            stacklevel=2,
        )


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
