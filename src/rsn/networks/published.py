"""The results that the authors have published, by model: their numbers, not ours."""

from dataclasses import dataclass

RSN = "RSN repository, README: the authors' own platform"
RSN_PYTORCH = "RSN repository, README: the authors' PyTorch code"
MSPN = "MSPN repository, README: the authors' own platform"
_COCO = ("AP", "AP50", "AP75", "APM", "APL", "AR")
_MPII = ("Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Mean")


@dataclass(frozen=True)
class PublishedResult:
    """One row of a published table.

    dataset: which part of which set; COCO with boxes of a detector. input_size: (height, width).
    figures: in percent, by the tables' names (COCO: average precision and recall; MPII: PCKh@0.5).
    gflops: complexity as published, None where the table has none.
    """

    dataset: str
    input_size: tuple[int, int]
    figures: dict[str, float]
    source: str
    gflops: float | None = None


def _coco(
    dataset: str, figures: str, gflops: float | None, *, source: str = RSN, size: tuple[int, int] = (256, 192)
) -> PublishedResult:
    return PublishedResult(f"COCO {dataset}", size, _named(_COCO, figures), source, gflops)


def _mpii(dataset: str, figures: str, *, source: str) -> PublishedResult:
    return PublishedResult(f"MPII {dataset}", (256, 256), _named(_MPII, figures), source)


def _named(names: tuple[str, ...], figures: str) -> dict[str, float]:
    return dict(zip(names, map(float, figures.split()), strict=True))


_LARGE = (384, 288)
_RESULTS: dict[str, tuple[PublishedResult, ...]] = {
    "res18": (_coco("val", "70.7 89.5 77.5 66.8 75.9 75.8", 2.3),),
    "rsn18": (
        _coco("val", "73.6 90.5 80.9 67.8 79.1 78.8", 2.5),
        _coco("val", "70.4 88.8 77.7 67.2 76.7 76.5", 2.5, source=RSN_PYTORCH),
        _coco("test-dev", "71.6 92.6 80.3 68.8 75.8 77.7", 2.5),
    ),
    "rsn50": (
        _coco("val", "74.7 91.4 81.5 71.0 80.2 80.0", 6.4),
        _coco("test-dev", "72.5 93.0 81.3 69.9 76.5 78.8", 6.4),
    ),
    "rsn101": (_coco("val", "75.8 92.4 83.0 72.1 81.2 81.1", 11.5),),
    "2xrsn50": (
        _coco("val", "77.2 92.3 84.0 73.8 82.5 82.2", 13.9),
        _coco("test-dev", "75.5 93.6 84.0 73.0 79.6 81.3", 13.9),
    ),
    "3xrsn50": (_coco("val", "78.2 92.3 85.1 74.7 83.7 83.1", 20.7),),
    "4xrsn50": (
        _coco("val", "79.0 92.5 85.7 75.2 84.5 83.7", 29.3),
        _coco("test-dev", "78.0 94.2 86.5 75.3 82.2 83.4", 29.3),
        _coco("val", "79.6 92.5 85.8 75.5 85.2 84.2", 65.9, size=_LARGE),
        _coco("test-dev", "78.6 94.3 86.6 75.5 83.3 83.8", 65.9, size=_LARGE),
        _coco("test-dev, ensemble", "79.2 94.4 87.1 76.1 83.8 84.1", None, size=_LARGE),
        _mpii("val", "96.7 96.7 92.3 88.2 90.3 89.0 85.3 91.6", source=RSN),
        _mpii("test", "98.5 97.3 93.9 89.9 92.0 90.6 86.8 93.0", source=RSN),
    ),
    "mspn50": (_coco("val", "71.5 90.1 78.4 67.4 77.5 77.0", None, source=MSPN),),
    "2xmspn50": (_coco("val", "74.5 91.2 81.2 70.5 80.4 79.7", None, source=MSPN),),
    "3xmspn50": (_coco("val", "75.2 91.5 82.2 71.1 81.1 80.3", None, source=MSPN),),
    "4xmspn50": (
        _coco("val", "75.9 91.8 82.9 72.0 81.6 81.1", None, source=MSPN),
        _coco("test-dev", "76.1 93.4 83.8 72.3 81.5 81.6", None, source=MSPN, size=_LARGE),
        _coco("val, external data", "78.8 93.1 85.6 74.9 84.7 83.8", None, source=MSPN, size=_LARGE),
        _coco("test-dev, external data", "77.1 93.8 84.6 73.4 82.3 82.3", None, source=MSPN, size=_LARGE),
        _coco(
            "val, external data, ensemble", "79.8 93.4 86.1 75.9 85.6 84.3", None, source=MSPN, size=_LARGE
        ),
        _coco(
            "test-dev, external data, ensemble",
            "78.1 94.1 85.9 74.5 83.3 83.1",
            None,
            source=MSPN,
            size=_LARGE,
        ),
        _mpii("val", "96.8 96.5 92.0 87.0 89.9 88.0 84.0 91.1", source=MSPN),
        _mpii("test, multi-shift test", "98.4 97.1 93.2 89.2 92.0 90.1 85.5 92.6", source=MSPN),
    ),
}


def published_results(model: str) -> tuple[PublishedResult, ...]:
    """What was published under a model's name; empty where nothing was.

    No public code builds the RSN-50 and larger networks of the published complexity, so which network a row belongs
    to cannot be known: `rsn50` and our `rsn50-wide` have the same rows.
    """
    return _RESULTS.get(model.removesuffix("-wide"), ())
