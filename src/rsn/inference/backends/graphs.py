"""Graphs in files: opened by their library, and cached after conversion, which takes seconds."""

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from os.path import isdir
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from rsn.errors import RsnError
from rsn.models.inference_graph import InferenceGraph
from rsn.weights.pretrained import CACHE, cache_folder

MAX_BATCH = 4096  # crops per run of a converted graph


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph from a file, ready to run.

    run: crops as the graph takes them -> all its outputs, heatmaps last. metadata: of the file.
    """

    run: Callable[[Tensor], tuple[Tensor, ...]]
    metadata: dict[str, str]

    def backend(self, crops: Tensor) -> Tensor:
        """Crops -> heatmaps."""
        return self.run(crops)[-1]


def converted(graph: InferenceGraph, convert: Callable[[Path], None], *, libraries: tuple[str, ...]) -> Path:
    """The folder of a converted graph; `convert` fills it if it is not in the cache.

    The key in the cache is made of the weights, the normalization, the code of the network and the versions of torch
    and of the libraries that convert. If two processes convert the same graph at once, the first result is used.

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
        if isdir(folder):  # created by another process meanwhile
            return folder
        raise RsnError(
            f"cannot write {folder}: {error.strerror or error}; set {CACHE} to a writable folder, or choose backend"
            " torch"
        ) from error
    return folder


def _key(graph: InferenceGraph, libraries: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for library in ("torch", *libraries):
        digest.update(f"{library} {version(library)}\n".encode())
    for source in sorted({_source_of(type(module)) for module in graph.modules()}):
        digest.update(source)
    given = graph.preprocessing
    digest.update(repr((graph, given.input_size, given.mean, given.std)).encode())
    for tensor in graph.state_dict().values():
        digest.update(tensor.contiguous().cpu().view(torch.uint8).numpy())
    return digest.hexdigest()[:32]


def _source_of(kind: type) -> bytes:
    """The file that defines a class; its name where there is no file, as in a notebook."""
    try:
        return Path(inspect.getfile(kind)).read_bytes()
    except (OSError, TypeError):
        return kind.__qualname__.encode()
