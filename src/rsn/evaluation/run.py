"""Evaluation of models or results on an annotated dataset."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsn.errors import AnnotationError, RsnError
from rsn.evaluation.benchmarks import Options, find_benchmark
from rsn.evaluation.body_parts import parts_table
from rsn.evaluation.datasets import Groups, Metrics
from rsn.evaluation.prediction import DatasetBoxes, Report, Results, TrackProgress, predict_dataset
from rsn.inference.ensemble import ModelSource
from rsn.inference.estimator import PoseEstimator
from rsn.io.validation import read_json
from rsn.oks import THRESHOLD, Nms
from rsn.results import to_raw
from rsn.skeletons import Skeleton


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` returns.

    metrics: `CocoMetrics`, `PckhMetrics` or `PckMetrics`. groups: metrics of the groups that the dataset defines, such
    as easy, medium and hard images. parts: COCO metrics per body part, empty unless asked for. results: COCO results
    with raw scores. skipped: boxes and people that were not predicted, by reason. skipped_results: invalid results by
    reason. images_without_boxes: how many; their people count as missed.
    """

    metrics: Metrics
    results: Results = field(repr=False)
    groups: Groups = field(default_factory=dict)
    parts: Groups = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    skipped_results: Counter[str] = field(default_factory=Counter)
    images_without_boxes: int = 0

    def table(self) -> str:
        """The metrics as text, in percent."""
        return "\n\n".join([self.metrics.table(), *(parts_table(one) for one in (self.groups, self.parts) if one)])

    def as_dict(self) -> dict[str, Any]:
        """All except the results, for JSON."""
        return {
            "metrics": self.metrics.as_dict(),
            "groups": {group: metrics.as_dict() for group, metrics in self.groups.items()},
            "parts": {part: metrics.as_dict() for part, metrics in self.parts.items()},
            "skipped": dict(self.skipped),
            "skipped_results": dict(self.skipped_results),
            "images_without_boxes": self.images_without_boxes,
        }


def evaluate(
    source: "PoseEstimator | ModelSource | Sequence[ModelSource] | Results",
    annotations: str | Path,
    images: str | Path | None = None,
    *,
    dataset: str = "coco",
    boxes: str | Path = "gt",
    box_threshold: float = 0.0,
    box_category: str | None = None,
    flip_test: bool = False,
    nms: Nms = "none",
    nms_threshold: float = THRESHOLD,
    parts: bool = False,
    common_keypoints: bool = False,
    skeleton: Skeleton | Path | None = None,
    head_sizes: Path | None = None,
    report: Report = lambda text: None,
    track: TrackProgress = lambda results, total: results,
) -> Evaluation:
    """Evaluate a model, an ensemble or results on an annotated dataset, by the metric of that dataset.

    Processes that torchrun or srun started divide the images, and all return the same evaluation.

    Args:
        source: a weights name or file, several of them (an ensemble), or a `PoseEstimator`; or results: a list of COCO
            results, or a .json file of them (raw scores, or those of `poses.json`).
        annotations: COCO-keypoints JSON, or a file of the dataset: for MPII its .mat release or a JSON list of people.
        images: folder of the images; not needed for results.
        dataset: a name in `rsn.evaluation.BENCHMARKS`; decides the format of the annotations and the metrics.
        boxes: "gt" takes the annotated boxes; else a JSON file of COCO detections.
        box_threshold, box_category: which boxes of that file are taken, see `prediction.read_boxes`.
        flip_test: average with the flipped crops; an estimator decides this itself.
        nms, nms_threshold: duplicate removal, see `oks.deduplicate`.
        parts: also compute the COCO metrics of each body part.
        common_keypoints: evaluate only the keypoints that both model and dataset have; the metrics are then not those
            of published tables.
        skeleton: of COCO annotations that do not name their keypoints.
        head_sizes: the gt_valid.mat that belongs to an MPII list.
        report: receives messages. track: wraps the work, for a progress bar, see `prediction.TrackProgress`.

    Raises:
        UnknownNameError: there is no such dataset.
        AnnotationError: annotations, boxes or results that are invalid or do not fit the model's skeleton.
        RsnError: options that do not fit together, or models that cannot be loaded.
        MissingDependencyError: hotcoco is not installed.
    """
    benchmark = find_benchmark(dataset)
    options = Options(Skeleton.from_file(skeleton) if isinstance(skeleton, Path) else skeleton, head_sizes)
    benchmark.check(options, boxes=str(boxes), nms=nms, parts=parts, common=common_keypoints)
    results = _read_results(source)
    if results is not None:
        if common_keypoints:
            raise RsnError("results have the keypoints of the dataset; leave out common_keypoints")
        data = benchmark.read(Path(annotations), None if images is None else Path(images), options, None)
        given = DatasetBoxes("", [], Counter())
    else:
        if images is None:
            raise RsnError("Invalid images: expected the folder of the images, got none")
        estimator = _open(source, flip_test=flip_test)
        model = estimator.metadata.skeleton
        data = benchmark.read(Path(annotations), Path(images), options, model)
        if common_keypoints:
            data = data.with_common_keypoints(model)
            report(f"only the {len(data.skeleton)} keypoints that the model has too are evaluated")
        given = data.boxes(str(boxes), category=box_category, threshold=box_threshold)
        results = predict_dataset(
            estimator, given, data.skeleton, category_id=data.category_id, nms=nms, nms_threshold=nms_threshold,
            exact=not common_keypoints, report=report, track=track,
        )  # fmt: skip
    scores = data.evaluate(results, parts=parts)
    return Evaluation(
        scores.metrics,
        results,
        scores.groups,
        scores.parts,
        given.skipped,
        scores.skipped,
        given.images_without_boxes,
    )


def _open(source: Any, *, flip_test: bool) -> PoseEstimator:
    if isinstance(source, PoseEstimator):
        return source
    return PoseEstimator(source, detector=None, flip_test=flip_test)


def _read_results(source: Any) -> Results | None:
    """The results that a list or a .json file holds, with raw scores; None where `source` is a model."""
    entries = source
    if isinstance(source, str | Path) and Path(source).suffix == ".json":
        entries = read_json(Path(source))
        if not isinstance(entries, list):
            raise AnnotationError(f"{source}: expected a list of COCO keypoint results")
    elif not (isinstance(source, list) and all(isinstance(entry, dict) for entry in source)):
        return None
    return [to_raw(entry) for entry in entries]
