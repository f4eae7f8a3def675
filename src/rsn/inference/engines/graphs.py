"""Converted graphs, kept in the user's cache: converting takes seconds, reading back a tenth of one."""

import hashlib
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from tempfile import mkdtemp

import torch
from filelock import FileLock

import rsn.networks
from rsn.files import make_folder
from rsn.networks.deployment import Deployment
from rsn.networks.zoo import cache_folder


def converted(deployment: Deployment, convert: Callable[[Path], None], *, libraries: tuple[str, ...]) -> Path:
    """The folder of a converted graph; `convert` fills it where it is not in the cache yet.

    A graph is known by its weights, its card's numbers, the code of our networks and the versions of torch and of
    the libraries that convert it; when one changes it is converted anew. One process at a time converts a graph.

    Raises:
        RsnError: the cache cannot be written to.
    """
    graphs = cache_folder() / "graphs"
    make_folder(graphs)
    folder = graphs / _key(deployment, libraries)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            unfinished = Path(mkdtemp(prefix=".part", dir=graphs))
            try:
                convert(unfinished)
                unfinished.rename(folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _key(deployment: Deployment, libraries: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for library in ("torch", *libraries):
        digest.update(f"{library} {version(library)}\n".encode())
    for folder in rsn.networks.__path__:
        for source in sorted(Path(folder).glob("*.py")):
            digest.update(source.read_bytes())
    card = deployment.card
    digest.update(repr((deployment, card.input_size, card.mean, card.std)).encode())
    for tensor in deployment.state_dict().values():
        digest.update(tensor.contiguous().cpu().view(torch.uint8).numpy())
    return digest.hexdigest()[:32]
