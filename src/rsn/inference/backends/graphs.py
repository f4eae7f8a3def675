"""Networks as libraries other than PyTorch take them: converted, which takes seconds, and found in the cache later."""

import hashlib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import rsn
from rsn.codecs.arrays import library_of
from rsn.io.downloads import sha256_of
from rsn.models import registry
from rsn.weights.metadata import Metadata
from rsn.weights.sources import weights_path

if TYPE_CHECKING:
    from torch import nn

    from rsn.models.inference_graph import InferenceGraph

MAX_BATCH = 4096  # crops per run of a converted graph
_CODE = ("models", "weights", "inference/backends")  # folders of the package on which a converted graph depends


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph from a file, ready to run.

    run: crops as the graph takes them -> all its outputs, heatmaps last. metadata: of the file.
    """

    run: Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], ...]]
    metadata: dict[str, str]

    def backend(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Crops -> heatmaps."""
        return self.run(crops)[-1]


@dataclass(frozen=True, eq=False)
class GraphSource:
    """A network that is made only where the cache has no conversion of it.

    content: what decides the results of the network, as text. build: makes the graph.
    """

    content: Callable[[], str]
    build: "Callable[[], InferenceGraph]"

    @classmethod
    def from_network(cls, network: "nn.Module", metadata: Metadata, *, any_size: bool) -> "GraphSource":
        """A network in memory, which is not changed."""

        @cache
        def build() -> "InferenceGraph":
            from rsn.models.inference_graph import InferenceGraph

            return InferenceGraph(network, metadata, any_size=any_size)

        return cls(lambda: _content_of(build()), build)

    @classmethod
    def from_weights(cls, weights: str | Path, metadata: Metadata, *, any_size: bool) -> "GraphSource":
        """The network of weights by name or file. The code of a network that a program has added is not known here."""

        def build() -> "InferenceGraph":
            from rsn.models.inference_graph import InferenceGraph
            from rsn.weights.loading import build_network

            return InferenceGraph(build_network(weights, metadata), metadata, any_size=any_size)

        def content() -> str:
            given = (metadata.model, metadata.options, metadata.input_size, metadata.mean, metadata.std, any_size)
            return f"{sha256_of(weights_path(weights))} {given}"

        if metadata.model not in registry.ADDED:
            return cls(content, build)
        made = cache(build)
        return cls(lambda: _content_of(made()), made)

    def key(self, *parts: str) -> str:
        """The key in the cache of what a library makes of the network.

        parts: the library, its version, and whatever else the result depends on.
        """
        digest = hashlib.sha256()
        for part in (self.content(), rsn.__version__, _code(), version("torch"), *parts):
            digest.update(part.encode() + b"\n")
        return digest.hexdigest()[:32]


@cache
def _code() -> str:
    """A hash of the code of this package on which a converted graph depends: it may be edited between two runs."""
    root = Path(rsn.__file__).parent
    return _hash_of(path.read_bytes() for folder in _CODE for path in sorted((root / folder).glob("*.py")))


def _content_of(graph: "InferenceGraph") -> str:
    """The code, structure and tensors of a graph."""
    given = graph.preprocessing
    parts = [repr((graph, given.input_size, given.mean, given.std)).encode()]
    parts += sorted({_source_of(type(module)) for module in graph.modules()})
    library = library_of(next(iter(graph.state_dict().values())))
    tensors = (value.contiguous().cpu().view(library.uint8).numpy().data for value in graph.state_dict().values())
    return _hash_of([*parts, *tensors])


def _hash_of(parts: Iterable[bytes | memoryview]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _source_of(kind: type) -> bytes:
    """The file that defines a class; its name where there is no file, as in a notebook."""
    try:
        return Path(inspect.getfile(kind)).read_bytes()
    except (OSError, TypeError):
        return kind.__qualname__.encode()
