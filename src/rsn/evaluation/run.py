"""Evaluation of models or results on an annotated dataset."""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rsn.data.categories import resolve_skeleton
from rsn.data.coco import image_files, parse_coco
from rsn.data.mpii import read_mpii, with_ground_truth
from rsn.errors import AnnotationError, RsnError, RsnWarning
from rsn.evaluation.body_parts import evaluate_parts, parts_table
from rsn.evaluation.coco import CocoMetrics, GroundTruth, evaluate_selected
from rsn.evaluation.mpii import PckhMetrics, check_head_sizes, evaluate_pckh
from rsn.evaluation.prediction import (
    DatasetBoxes,
    Report,
    Results,
    TrackProgress,
    predict_dataset,
    read_boxes,
)
from rsn.extras import require
from rsn.inference.box_checks import reasons
from rsn.inference.ensemble import ModelSource
from rsn.inference.estimator import PoseEstimator
from rsn.io.validation import read_json
from rsn.oks import THRESHOLD, Nms
from rsn.results import to_raw
from rsn.skeletons import Skeleton, assume_sigmas, copy_sigmas


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` returns.

    metrics: `CocoMetrics` or `PckhMetrics`. parts: COCO metrics per body part, empty unless asked for. results: COCO
    results with raw scores. skipped: boxes and people that were not predicted, by reason. skipped_results: invalid
    results by reason. images_without_boxes: how many; their people count as missed.
    """

    metrics: CocoMetrics | PckhMetrics
    results: Results = field(repr=False)
    parts: dict[str, CocoMetrics] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    skipped_results: Counter[str] = field(default_factory=Counter)
    images_without_boxes: int = 0

    def table(self) -> str:
        """The metrics as text, in percent."""
        return "\n\n".join([self.metrics.table(), *([parts_table(self.parts)] if self.parts else [])])

    def as_dict(self) -> dict[str, Any]:
        """All except the results, for JSON."""
        return {
            "metrics": self.metrics.as_dict(),
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
    dataset: Literal["coco", "mpii"] = "coco",
    boxes: str | Path = "gt",
    box_threshold: float = 0.0,
    box_category: str | None = None,
    flip_test: bool = False,
    nms: Nms = "none",
    nms_threshold: float = THRESHOLD,
    parts: bool = False,
    skeleton: Skeleton | Path | None = None,
    head_sizes: Path | None = None,
    report: Report = lambda text: None,
    track: TrackProgress = lambda results, total: results,
) -> Evaluation:
    """Evaluate a model, an ensemble or results on an annotated dataset: COCO's OKS AP, or MPII's PCKh.

    Processes that torchrun or srun started divide the images, and all return the same evaluation.

    Args:
        source: a weights name or file, several of them (an ensemble), or a `PoseEstimator`; or results: a list of COCO
            results, or a .json file of them (raw scores, or those of `poses.json`).
        annotations: COCO-keypoints JSON; for MPII its .mat release or a JSON list of people.
        images: folder of the images; not needed for results.
        dataset: format of the annotations, which decides the metrics.
        boxes: "gt" takes the annotated boxes; else a JSON file of COCO detections.
        box_threshold, box_category: which boxes of that file are taken, see `prediction.read_boxes`.
        flip_test: average with the flipped crops; an estimator decides this itself.
        nms, nms_threshold: duplicate removal, see `oks.deduplicate`.
        parts: also compute the COCO metrics of each body part.
        skeleton: of COCO annotations that do not name their keypoints.
        head_sizes: the gt_valid.mat that belongs to an MPII list.
        report: receives messages. track: wraps the work, for a progress bar, see `prediction.TrackProgress`.

    Raises:
        AnnotationError: annotations, boxes or results that are invalid or do not fit the model's skeleton.
        RsnError: options that do not fit together, or models that cannot be loaded.
        MissingDependencyError: hotcoco is not installed.
    """
    annotations = Path(annotations)
    _check_options(dataset, head_sizes, skeleton, str(boxes), nms, parts=parts)
    results = _read_results(source)
    if images is None and (results is None or dataset == "mpii"):
        raise RsnError("Invalid images: expected the folder of the images, got none")
    images = Path(images or ".")
    estimator = None if results is not None else _open(source, flip_test=flip_test)
    if dataset == "mpii":
        return _evaluate_mpii(estimator, results, annotations, images, head_sizes, report, track)

    require("hotcoco", extra="eval", feature="COCO evaluation")
    document = read_json(annotations)
    skeleton = Skeleton.from_file(skeleton) if isinstance(skeleton, Path) else skeleton
    given = DatasetBoxes("", [], Counter())
    if estimator is None:
        skeleton = resolve_skeleton(document, str(annotations), skeleton).skeleton
    else:
        people = parse_coco(document, annotations, images, skeleton)
        skeleton = copy_sigmas(people.skeleton, estimator.metadata.skeleton)
    truth = GroundTruth.from_coco(document, assume_sigmas(skeleton), str(annotations))
    if estimator is not None:
        if boxes == "gt":
            given = DatasetBoxes.from_annotations(people.filter_valid())
        else:
            files = list(image_files(document, annotations, images).values())
            given = read_boxes(
                Path(boxes), files, images, category=box_category, category_ids=people.category_ids,
                threshold=box_threshold,
            )  # fmt: skip
        results = predict_dataset(
            estimator, given, truth.skeleton, category_id=people.category_id, nms=nms,
            nms_threshold=nms_threshold, report=report, track=track,
        )  # fmt: skip
    results = results or []
    selected, skipped = truth.select(results)
    if skipped:
        warnings.warn(f"results skipped: {reasons(skipped)}", RsnWarning, stacklevel=2)
    return Evaluation(
        evaluate_selected(truth, selected, skipped),
        results,
        evaluate_parts(truth, results, truth.skeleton) if parts else {},
        given.skipped,
        skipped,
        given.images_without_boxes,
    )


def _evaluate_mpii(
    estimator: PoseEstimator | None,
    results: Results | None,
    annotations: Path,
    images: Path,
    head_sizes: Path | None,
    report: Report,
    track: TrackProgress,
) -> Evaluation:
    people = read_mpii(annotations, images)
    if head_sizes is not None:
        people = with_ground_truth(people, head_sizes)
    people = people.filter_valid()
    check_head_sizes(people.people)
    given = DatasetBoxes.from_annotations(people)
    if estimator is not None:
        results = predict_dataset(estimator, given, people.skeleton, report=report, track=track)
    results = results or []
    return Evaluation(evaluate_pckh(people.people, results), results, skipped=given.skipped)


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


def _check_options(
    dataset: str, head_sizes: Path | None, skeleton: object, boxes: str, nms: str, *, parts: bool
) -> None:
    """Reject options that would have no effect, or would leave people without the result that PCKh needs."""
    if dataset == "coco" and head_sizes is not None:
        raise RsnError("--head-sizes belongs to MPII's lists; add --dataset mpii")
    if dataset == "mpii" and skeleton is not None:
        raise RsnError("--skeleton belongs to COCO-keypoints JSON; MPII's skeleton is known")
    if dataset == "mpii" and (boxes != "gt" or parts or nms != "none"):
        raise RsnError(
            "PCKh takes one prediction per person, in the box of the annotated center and scale; leave out --boxes,"
            " --parts and --nms"
        )
