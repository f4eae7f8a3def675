"""Weights -> a file that other programs run, checked against the network before it is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import torch
from torch import Tensor, nn

from rsn.data.annotations import PoseDataset
from rsn.errors import RsnError, UnknownNameError, WeightsError
from rsn.export.crops import crops_to_calibrate, crops_to_check
from rsn.export.formats import ExportGraph, check_format, open_graph, write_graph
from rsn.inference.exported import Export, Precision, is_exported
from rsn.io.downloads import sha256_of
from rsn.io.files import check_writable
from rsn.weights.loading import load_network, weights_path
from rsn.weights.metadata import Metadata, ModelMetadata

# How far heatmaps may be from the network's, in units of its largest value.
# int8 moves them by a tenth; what it costs is told by `rsn evaluate`, and this refuses only what is broken.
TOLERANCE: dict[Precision, float] = {"fp32": 1e-4, "fp16": 1e-2, "int8": 0.5}
_PIXELS, _SCORE = (
    0.01,
    1e-4,
)  # how far keypoints in the file may be from those that we read off its own heatmaps


@dataclass(frozen=True)
class Comparison:
    """How an export's answers differ from the network's, on some crops.

    heatmaps: in units of the network's largest value. pixels, scores: of keypoints that the file reads off its heatmaps,
    from those that we read off the same heatmaps; 0 where it does not.
    """

    crops: int
    heatmaps: float
    pixels: float = 0.0
    scores: float = 0.0

    def summary(self, precision: Precision, *, decoded: bool) -> str:
        """One line, with what is allowed."""
        keypoints = f"; keypoints {self.pixels:.1g} pixels (allowed: {_PIXELS:g})" if decoded else ""
        return (
            f"largest difference from PyTorch on {self.crops} crops: heatmaps {self.heatmaps:.1e} of their peak"
            f" (allowed: {TOLERANCE[precision]:.0e}){keypoints}"
        )

    def check(self, precision: Precision, output: Path) -> None:
        """Refuse what is too far off.

        Raises:
            RsnError: it is.
        """
        if not (
            self.heatmaps <= TOLERANCE[precision] and self.pixels <= _PIXELS and self.scores <= _SCORE
        ):  # so that not-a-number is refused too
            told = self.summary(precision, decoded=True)
            raise RsnError(f"{output} is not kept, its answers are not the network's: {told}")


def export_model(
    source: str | Path,
    output: Path,
    *,
    format: str,
    preprocess: bool = False,
    decode: bool = False,
    precision: str = "fp32",
    images: Sequence[Path] = (),
    calibration: PoseDataset | None = None,
) -> tuple[Export, Comparison]:
    """Write weights as a file that a runtime runs without rsn, and a JSON beside it, which says what it is.

    Both appear when the file, opened in its runtime, has given the network's answers, and replace what was there.

    Args:
        source: a weight's name or a file.
        output: its suffix goes with the format, see `formats.SUFFIXES`.
        format: one of them. preprocess, decode, precision: see `inference.exported.Export`.
        images: to compare the answers on; without them on drawn metrics.
        calibration: people whose crops show the ranges of feature maps; precision int8 needs them, others do not.

    Raises:
        UnknownNameError: no such format, precision or weights. WeightsError: weights or a name that will not do,
            people to calibrate with where the precision needs none, or the other way round.
        MissingDependencyError: what writes the format is not installed.
        ImageError: an image cannot be read.
        RsnError: the file cannot be written, or its answers are too far from the network's.
    """
    if precision not in get_args(Precision):
        raise UnknownNameError("precision", precision, get_args(Precision))
    if is_exported(source):
        raise WeightsError(f"{source}: is an export already; export the weights that it was made of")
    if (precision == "int8") != (calibration is not None):
        raise WeightsError("precision int8 and people to calibrate with (--calibration) go together")
    network, metadata = load_network(source)
    if decode and not isinstance(metadata, ModelMetadata):
        raise WeightsError(f"{source}: finds person boxes, which --decode does not support; leave it out")
    export = Export(metadata, sha256_of(weights_path(source)), precision, preprocess, decode)  # type: ignore[arg-type]
    check_format(format, output, export)
    check_writable(output)
    crops = crops_to_check(metadata, images)
    people = crops_to_calibrate(metadata, calibration) if calibration else None
    try:
        with TemporaryDirectory(prefix=".", suffix=".part", dir=output.parent) as folder:
            graph = ExportGraph(network, export)
            written = Path(folder, output.name)
            write_graph(format, graph, written, export, people)
            comparison = _compare(format, graph, written, network, metadata, crops)
            comparison.check(export.precision, output)
            described(written).write_text(export.to_json())
            # The file that is opened is moved last, when those beside it are there.
            for file in sorted(written.parent.iterdir(), key=lambda file: file == written):
                file.replace(output.with_name(file.name))
    except OSError as error:
        raise RsnError(f"cannot write {output}: {error.strerror or error}") from error
    return export, comparison


def described(file: Path) -> Path:
    """Where the JSON beside an exported file lies: FILE.onnx.json."""
    return file.with_name(f"{file.name}.json")


@torch.inference_mode()
def _compare(
    format: str,
    graph: ExportGraph,
    written: Path,
    network: nn.Module,
    metadata: Metadata,
    crops: Tensor,
) -> Comparison:
    """Of all crops as one batch, and of the first alone, since the batch is dynamic."""
    expected = network(metadata.normalize(crops))
    opened = open_graph(format, written)
    *keypoints, heatmaps = opened.run(graph.arranged(crops))
    alone = opened.backend(graph.arranged(crops[:1]))
    peak = expected.abs().max()
    difference = max((heatmaps - expected).abs().max(), (alone - expected[:1]).abs().max()) / peak
    if not keypoints:
        return Comparison(len(crops), float(difference))
    ours = metadata.codec.decode(heatmaps)
    pixels, scores = ((found - own).abs().max() for found, own in zip(keypoints, ours, strict=True))
    return Comparison(len(crops), float(difference), float(pixels), float(scores))
