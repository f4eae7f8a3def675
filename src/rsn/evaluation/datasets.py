"""Annotated datasets as an evaluation needs them: people, boxes, and the metrics of results."""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from rsn.data.annotations import PersonAnnotation, PoseDataset
from rsn.data.coco import image_files
from rsn.errors import AnnotationError, RsnWarning
from rsn.evaluation.body_parts import evaluate_parts
from rsn.evaluation.coco import UNDEFINED, CocoMetrics, Entry, GroundTruth, evaluate_group, evaluate_selected
from rsn.evaluation.mpii import PckhMetrics
from rsn.evaluation.pck import PckMetrics
from rsn.evaluation.prediction import DatasetBoxes, Results, read_boxes
from rsn.inference.box_checks import reasons
from rsn.skeletons import Skeleton

Metrics = CocoMetrics | PckhMetrics | PckMetrics
Groups = Mapping[str, CocoMetrics]


@dataclass(frozen=True, eq=False)
class Scores:
    """metrics: of all results. groups, parts: of groups that the benchmark defines, and of body parts; may be empty.

    skipped: number of invalid results by reason.
    """

    metrics: Metrics
    groups: Groups = field(default_factory=dict)
    parts: Groups = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)


class EvaluationDataset(Protocol):
    """An annotated dataset, read and checked."""

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints of results."""

    @property
    def category_id(self) -> int | str:
        """The category of results."""

    def with_common_keypoints(self, model: Skeleton) -> "EvaluationDataset":
        """The same people, with only the keypoints that a model predicts."""

    def boxes(self, source: str, **options: Any) -> DatasetBoxes:
        """The boxes to predict poses in: "gt" for the annotated ones, else a file, see `prediction.read_boxes`."""

    def evaluate(self, results: Results, *, parts: bool = False) -> Scores:
        """The metrics of results."""


@dataclass(frozen=True, eq=False)
class OksDataset:
    """A dataset that is evaluated by OKS.

    truth: its people. people: the same with their images on disk, which only predictions need; document, annotations,
    images: where they come from. category_ids: of the people. image_groups: numbers of images, see
    `GroundTruth.image_numbers`, by name of the group. keypoint_groups: indices of keypoints. mean_groups: groups whose
    metrics are the mean of others, such as both hands. convert_result: makes a COCO result of an entry of another
    form; raises AnnotationError.
    """

    truth: GroundTruth
    people: PoseDataset | None
    document: Entry
    annotations: Path
    images: Path
    category_ids: tuple[int | str, ...]
    image_groups: Mapping[str, frozenset[int]]
    keypoint_groups: Mapping[str, Sequence[int]]
    mean_groups: Mapping[str, Sequence[str]]
    convert_result: Callable[[Entry], Entry]

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints of results."""
        return self.truth.skeleton

    @property
    def category_id(self) -> int | str:
        """The category of results."""
        return self.category_ids[0]

    def with_common_keypoints(self, model: Skeleton) -> "OksDataset":
        """The same people, with only the keypoints that a model predicts.

        Raises:
            AnnotationError: there are none.
        """
        skeleton, kept = common_skeleton(self.skeleton, model)
        place = {index: number for number, index in enumerate(kept)}
        groups = {
            name: [place[index] for index in group if index in place] for name, group in self.keypoint_groups.items()
        }
        return replace(self, truth=self.truth.with_skeleton(skeleton, kept), keypoint_groups=groups)

    def boxes(self, source: str, **options: Any) -> DatasetBoxes:
        """The boxes to predict poses in: "gt" for the annotated ones, else a file, see `prediction.read_boxes`."""
        if source == "gt":
            assert self.people is not None
            return DatasetBoxes.from_annotations(self.people.filter_valid())
        files = list(image_files(self.document, self.annotations, self.images).values())
        return read_boxes(Path(source), files, self.images, category_ids=self.category_ids, **options)

    def evaluate(self, results: Results, *, parts: bool = False) -> Scores:
        """The metrics of results.

        Raises:
            AnnotationError: no valid result.
        """
        converted = [self.convert_result(entry) if isinstance(entry, dict) else entry for entry in results]
        selected, skipped = self.truth.select(converted)
        if skipped:
            warnings.warn(f"results skipped: {reasons(skipped)}", RsnWarning, stacklevel=3)
        metrics = evaluate_selected(self.truth, selected, skipped)
        of_parts = evaluate_parts(self.truth, converted, self.skeleton) if parts else {}
        return Scores(metrics, self._evaluate_groups(selected), of_parts, skipped)

    def _evaluate_groups(self, selected: Sequence[Entry]) -> Groups:
        groups: dict[str, CocoMetrics] = {}
        for name, images in self.image_groups.items():
            own = [entry for entry in selected if entry["image_id"] in images]
            groups[name] = evaluate_group(self.truth.with_images(images), own)
        for name, indices in self.keypoint_groups.items():
            names = [self.skeleton.keypoint_names[index] for index in indices]
            if indices:
                assert self.skeleton.sigmas is not None
                sigmas = [self.skeleton.sigmas[index] for index in indices]
                of_group = self.truth.with_skeleton(Skeleton.from_names(name, names, sigmas=sigmas), indices)
                groups[name] = evaluate_group(of_group, [_with_keypoints(entry, indices) for entry in selected])
        for name, members in self.mean_groups.items():
            if all(member in groups for member in members):
                groups[name] = _mean([groups[member] for member in members])
        return groups


@dataclass(frozen=True, eq=False)
class PckDataset:
    """A dataset of people in whose annotated boxes keypoints are predicted, one result a person.

    people: those with labeled keypoints. compute: the metrics of results, with the keypoints of a skeleton.
    """

    people: PoseDataset
    compute: Callable[[Sequence[PersonAnnotation], Results, Skeleton], Metrics]

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints of results."""
        return self.people.skeleton

    @property
    def category_id(self) -> int | str:
        """The category of results."""
        return self.people.category_id

    def with_common_keypoints(self, model: Skeleton) -> "PckDataset":
        """The same people, with only the keypoints that a model predicts.

        Raises:
            AnnotationError: there are none.
        """
        skeleton, _ = common_skeleton(self.skeleton, model)
        return replace(self, people=self.people.remap(skeleton))

    def boxes(self, source: str, **options: Any) -> DatasetBoxes:
        """The annotated boxes."""
        return DatasetBoxes.from_annotations(self.people)

    def evaluate(self, results: Results, *, parts: bool = False) -> Scores:
        """The metrics of results.

        Raises:
            AnnotationError: results that are not those of the people.
        """
        return Scores(self.compute(self.people.people, results, self.skeleton))


def common_skeleton(skeleton: Skeleton, model: Skeleton) -> tuple[Skeleton, list[int]]:
    """The keypoints of a dataset that a model predicts, and their indices in the dataset's skeleton.

    Raises:
        AnnotationError: there are none.
    """
    kept = sorted(index for _, index in model.common_keypoints(skeleton))
    if not kept:
        raise AnnotationError(
            f"the model predicts none of the keypoints of {skeleton.name}; take weights that were trained on it"
        )
    place = {index: number for number, index in enumerate(kept)}
    limbs = [(place[a], place[b]) for a, b in skeleton.limbs if a in place and b in place]
    sigmas = None if skeleton.sigmas is None else [skeleton.sigmas[index] for index in kept]
    names = [skeleton.keypoint_names[index] for index in kept]
    return Skeleton.from_names(skeleton.name, names, limbs, sigmas=sigmas), kept


def _with_keypoints(result: Entry, indices: Sequence[int]) -> Entry:
    """A converted result with only some keypoints, and the area that it had with all of them."""
    numbers = result["keypoints"]
    return result | {"keypoints": [value for index in indices for value in numbers[3 * index : 3 * index + 3]]}


def _mean(metrics: Sequence[CocoMetrics]) -> CocoMetrics:
    """The mean of each metric; undefined where one of them is."""
    columns = zip(*map(astuple, metrics), strict=True)
    return CocoMetrics(*(UNDEFINED if UNDEFINED in column else sum(column) / len(column) for column in columns))
