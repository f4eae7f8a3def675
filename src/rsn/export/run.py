"""Write weights as a file for other runtimes, and compare its results with the network before it is kept."""

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
from rsn.weights.loading import load_network
from rsn.weights.metadata import Metadata, ModelMetadata
from rsn.weights.sources import weights_path

# Largest allowed difference of heatmaps from the network's, relative to their largest value. int8 differs by a tenth;
# `rsn evaluate` measures its accuracy, and this limit finds broken files only.
TOLERANCE: dict[Precision, float] = {"fp32": 1e-4, "fp16": 1e-2, "int8": 0.5}
# Largest allowed difference of keypoints (pixels) and scores from those that PyTorch decodes from the same heatmaps.
_PIXELS, _SCORE = 0.01, 1e-4


@dataclass(frozen=True)
class Comparison:
    """The largest differences between an export and the network, on some crops.

    heatmaps: relative to the network's largest value. pixels, scores: of decoded keypoints, from those that PyTorch
    decodes from the same heatmaps; 0 if the file does not decode.
    """

    crops: int
    heatmaps: float
    pixels: float = 0.0
    scores: float = 0.0

    def summary(self, precision: Precision, *, decoded: bool) -> str:
        """One line, with the limits."""
        keypoints = f"; keypoints {self.pixels:.1g} pixels (allowed: {_PIXELS:g})" if decoded else ""
        return (
            f"largest difference from PyTorch on {self.crops} crops: heatmaps {self.heatmaps:.1e} of their peak"
            f" (allowed: {TOLERANCE[precision]:.0e}){keypoints}"
        )

    def check(self, precision: Precision, output: Path) -> None:
        """Raise an RsnError if a difference is above its limit."""
        within = self.heatmaps <= TOLERANCE[precision] and self.pixels <= _PIXELS and self.scores <= _SCORE
        if not within:  # also if a difference is not a number
            raise RsnError(
                f"{output} is not written, since its results differ from the network's:"
                f" {self.summary(precision, decoded=True)}"
            )


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
    """Write weights as a file that runs without rsn, and a JSON file beside it that describes it.

    Both are written (and replace older ones) after the file was opened in its runtime and gave the network's results.

    Args:
        source: a weight's name or a file.
        output: its suffix belongs to the format, see `formats.SUFFIXES`.
        format: one of them. preprocess, decode, precision: see `inference.exported.Export`.
        images: to compare the results on; by default drawn people.
        calibration: people whose crops show the ranges of feature maps; for precision int8, and only for it.

    Raises:
        UnknownNameError: no such format, precision or weights. WeightsError: weights that cannot be exported, a wrong
            suffix, calibration without int8 or the other way round.
        MissingDependencyError: a library for the format is not installed.
        ImageError: an image cannot be read.
        RsnError: the file cannot be written, or its results differ too much from the network's.
    """
    if precision not in get_args(Precision):
        raise UnknownNameError("precision", precision, get_args(Precision))
    if is_exported(source):
        raise WeightsError(f"{source}: is an exported file; export its weights instead")
    if (precision == "int8") != (calibration is not None):
        raise WeightsError("precision int8 needs people to calibrate with (--calibration), and no other precision does")
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
            described(written).write_text(export.to_json(), encoding="utf-8")
            # The file itself is moved last, after those beside it.
            for file in sorted(written.parent.iterdir(), key=lambda file: file == written):
                file.replace(output.with_name(file.name))
    except OSError as error:
        raise RsnError(f"cannot write {output}: {error.strerror or error}") from error
    return export, comparison


def described(file: Path) -> Path:
    """The path of the JSON file beside an exported file: FILE.onnx.json."""
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
    """Compare all crops as one batch, and the first one alone, since the batch size is dynamic."""
    expected = network(metadata.normalize(crops))
    opened = open_graph(format, written)
    *keypoints, heatmaps = map(torch.from_numpy, opened.run(graph.arranged(crops).numpy()))
    alone = torch.from_numpy(opened.backend(graph.arranged(crops[:1]).numpy()))
    peak = expected.abs().max()
    difference = max((heatmaps - expected).abs().max(), (alone - expected[:1]).abs().max()) / peak
    if not keypoints:
        return Comparison(len(crops), float(difference))
    decoded = metadata.codec.decode(heatmaps)
    pixels, scores = ((a - b).abs().max() for a, b in zip(keypoints, decoded, strict=True))
    return Comparison(len(crops), float(difference), float(pixels), float(scores))
