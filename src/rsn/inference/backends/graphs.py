"""Graphs in files: read back by what runs them, and kept in the user's cache, since converting takes seconds."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from os.path import isdir
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

import rsn.models
from rsn.errors import RsnError
from rsn.models.inference_graph import InferenceGraph
from rsn.weights.pretrained import CACHE, cache_folder

MAX_BATCH = 4096  # crops at once that a converted graph takes


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph read from a file, ready to run.

    run: crops as the graph takes them -> all that it answers, heatmaps last. metadata: what the file says of itself.
    """

    run: Callable[[Tensor], tuple[Tensor, ...]]
    metadata: dict[str, str]

    def backend(self, crops: Tensor) -> Tensor:
        """Crops -> heatmaps."""
        return self.run(crops)[-1]


def converted(graph: InferenceGraph, convert: Callable[[Path], None], *, libraries: tuple[str, ...]) -> Path:
    """The folder of a converted graph; `convert` fills it where it is not in the cache yet.

    A graph is known by its weights, its metadata's numbers, the code of our networks and the versions of torch and of
    the libraries that convert it; when one changes it is converted anew. Where two processes convert the same graph at
    once, the first that is done counts.

    Raises:
        RsnError: the cache cannot be written to.
    """
    graphs = cache_folder() / "graphs"
    folder = graphs / _key(graph, libraries)
    if isdir(folder):
        return folder
    try:
        graphs.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".part", dir=graphs, ignore_cleanup_errors=True) as unfinished:
            convert(Path(unfinished))
            Path(unfinished).rename(folder)
    except OSError as error:
        if isdir(folder):  # by another process meanwhile
            return folder
        raise RsnError(
            f"cannot write {folder}: {error.strerror or error}; let {CACHE} name a folder that can be written to, or"
            " choose backend torch"
        ) from error
    return folder


def _key(graph: InferenceGraph, libraries: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for library in ("torch", *libraries):
        digest.update(f"{library} {version(library)}\n".encode())
    for folder in rsn.models.__path__:
        for source in sorted(Path(folder).glob("*.py")):
            digest.update(source.read_bytes())
    given = graph.preprocessing
    digest.update(repr((graph, given.input_size, given.mean, given.std)).encode())
    for tensor in graph.state_dict().values():
        digest.update(tensor.contiguous().cpu().view(torch.uint8).numpy())
    return digest.hexdigest()[:32]
