"""Text about models: all networks in one table, or everything known about a network or about weights."""

from collections.abc import Iterable, Iterator
from os.path import isfile

from rsn.errors import UnknownNameError
from rsn.models.catalog import ARCHITECTURES
from rsn.weights.metadata import DetectorMetadata, Metadata
from rsn.weights.pretrained import PRETRAINED, PretrainedWeights
from rsn.weights.published import MEASURED_COMPLEXITY, PublishedResult, published_results
from rsn.weights.sources import known_weights, load_metadata, weights_path

SIZES = ((256, 192), (384, 288), (256, 256))
_WIDE = (
    "No public code builds the networks of the published complexity. This one is our reading of it: within 3 % of the"
    " published GFLOPs."
)
_LIGHT = (
    "The authors' PyTorch code builds this network, and public checkpoints of its name hold it. The published rows are"
    " of a network that takes {ratio:.2f} times as much; {name}-wide comes near it."
)


def all_networks() -> str:
    """A table: name, parameters, multiply-adds, published AP, and the weights known of each network."""
    rows: list[tuple[str, ...]] = [("network", "input", "params M", "GMACs", "val AP", "weights")]
    for name, size in MEASURED_COMPLEXITY.items():
        rows.append(
            (
                name,
                "256x192",
                f"{size.parameters / 1e6:.1f}",
                f"{size.multiply_adds / 1e9:.2f}",
                _val_ap(name),
                ", ".join(map(_with_location, _weights_of(name))) or "-",
            )
        )
    notes = (
        "Input sides: multiples of 32. Keypoints: any number. params, GMACs: measured by us with 17 keypoints.",
        "val AP: published by the authors, on COCO val with boxes of a detector; rsn models show NAME lists all rows",
        "and their sources. [here]: on this machine; [remote]: downloaded at the first use.",
    )
    return "\n".join([*_aligned(rows), "", *notes])


def describe(name: str) -> str:
    """Everything known about a network of the catalog, or about weights: by name, or in a file.

    Raises:
        UnknownNameError: no network or weights of that name. WeightsError: the file cannot be read.
    """
    if name in ARCHITECTURES:
        return "\n".join(_network(name))
    if name in PRETRAINED and not PRETRAINED[name].is_cached:
        return "\n".join(_remote(name, PRETRAINED[name]))
    if not isfile(name) and name not in known_weights():
        raise UnknownNameError("model or weights file", name, [*ARCHITECTURES, *known_weights()])
    return "\n".join(map(_on_one_line, _weights(name, load_metadata(name))))


def _network(name: str) -> Iterator[str]:
    yield name
    for height, width in SIZES:
        size = MEASURED_COMPLEXITY[name].at((height, width))
        millions, billions = size.parameters / 1e6, size.multiply_adds / 1e9
        yield f"  {height}x{width}: {millions:.2f} M parameters, {billions:.3f} G multiply-adds"
    yield "  (measured by us with 17 keypoints; convolutions of all heads)"
    rows = published_results(name)
    ratio = _published_ratio(name, rows)
    if name.endswith("-wide"):
        yield _WIDE
    elif ratio > 1.3:
        yield _LIGHT.format(ratio=ratio, name=name)
    yield ""
    if rows:
        yield "Published, percent"
        yield from _published(rows)
    else:
        yield "Published: no results known"
    yield ""
    yield f"Weights: {', '.join(map(_with_location, _weights_of(name))) or 'none known'}"


def _published(rows: Iterable[PublishedResult]) -> Iterator[str]:
    sources: list[str] = []
    for row in rows:
        if row.source not in sources:
            sources.append(row.source)
        metrics = "  ".join(f"{name} {value:.1f}" for name, value in row.metrics.items())
        height, width = row.input_size
        gflops = f"  {row.gflops:g} GFLOPs" if row.gflops else ""
        yield f"  [{sources.index(row.source) + 1}] {row.dataset}, {height}x{width}: {metrics}{gflops}"
    yield from (f"  [{number}] {source}" for number, source in enumerate(sources, start=1))


def _weights(name: str, metadata: Metadata) -> Iterator[str]:
    yield f"{name}: {metadata.summary()}"
    if isinstance(metadata, DetectorMetadata):
        settings = metadata.detector
        flip_test = "with" if settings.flip_test else "without"
        sizes = ", ".join(map(str, settings.image_sizes))
        how = f"  detector    image sizes {sizes}, {flip_test} flip test, box threshold {settings.box_threshold:g}"
    else:
        how = f"  thresholds  person {metadata.person_threshold:g}, keypoint {metadata.keypoint_threshold:g}"
    yield f"  file        {weights_path(name)}"
    yield f"  mean, std   {metadata.mean}, {metadata.std} (RGB in [0, 1])"
    yield how
    yield from _provenance(metadata)


def _provenance(weights: Metadata | PretrainedWeights) -> Iterator[str]:
    rows = (
        ("trained on", weights.trained_on),
        ("steps", getattr(weights, "steps", 0)),
        ("license", weights.license),
        ("notes", weights.notes),
        ("metrics", "  ".join(f"{name} {value:g}" for name, value in weights.metrics.items())),
    )
    return (f"  {label:<12}{value}" for label, value in rows if value)


def _on_one_line(text: str) -> str:
    """Without line breaks and terminal control characters, which metadata may contain."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _remote(name: str, weights: PretrainedWeights) -> Iterator[str]:
    height, width = weights.input_size
    yield f"{name}: {weights.model}, input {height}x{width}; not downloaded yet: rsn models pull {name}"
    yield f"  from        {weights.url}"
    yield f"  SHA-256     begins with {weights.sha256_prefix}"
    yield from _provenance(weights)


def _weights_of(model: str) -> list[str]:
    return [name for name in known_weights() if name.split(".")[0] == model]


def _with_location(name: str) -> str:
    here = name not in PRETRAINED or PRETRAINED[name].is_cached
    return f"{name} [{'here' if here else 'remote'}]"


def _val_ap(model: str) -> str:
    rows = (row for row in published_results(model) if (row.dataset, row.input_size) == ("COCO val", SIZES[0]))
    first = next(rows, None)
    return f"{first.metrics['AP']:.1f}" if first else "-"


def _published_ratio(name: str, rows: Iterable[PublishedResult]) -> float:
    stated = next((row.gflops for row in rows if row.gflops and row.input_size == SIZES[0]), None)
    return stated / (MEASURED_COMPLEXITY[name].multiply_adds / 1e9) if stated else 0.0


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows with aligned columns: the first and the last to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if column in (0, len(row) - 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
