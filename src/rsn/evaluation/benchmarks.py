"""The datasets that papers compare models on: for each its files, its keypoints and its metric."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rsn.data import benchmark_files as files
from rsn.data.annotations import PersonAnnotation, PoseDataset
from rsn.data.categories import resolve_skeleton
from rsn.data.coco import parse_coco
from rsn.data.mpii import is_mpii, read_mpii, with_ground_truth
from rsn.data.values import Id, normalize_id, parse_number, parse_numbers
from rsn.errors import AnnotationError, RsnError, UnknownNameError
from rsn.evaluation.coco import Entry, GroundTruth
from rsn.evaluation.datasets import EvaluationDataset, Metrics, OksDataset, PckDataset
from rsn.evaluation.mpii import check_head_sizes, evaluate_pckh
from rsn.evaluation.pck import evaluate_pck
from rsn.evaluation.prediction import Results
from rsn.extras import require
from rsn.io.validation import read_json
from rsn.skeletons import (
    AIC_14,
    COCO_17,
    CROWDPOSE_14,
    JHMDB_15,
    WHOLEBODY_133,
    Skeleton,
    assume_sigmas,
    copy_sigmas,
)

ImageGroups = Callable[[Entry, str], dict[str, set[Id]]]  # ids of images by name of the group

# Limits of the crowd index, as in CrowdPose's evaluator; the paper draws the first one at 0.1.
MEDIUM_CROWD, HARD_CROWD = 0.2, 0.8


@dataclass(frozen=True)
class Options:
    """What `rsn.evaluate` and recipes may say about a dataset.

    skeleton: of COCO files that do not describe theirs. head_sizes: the gt_valid.mat that belongs to an MPII list.
    min_box_height: people with lower boxes (pixels) are left out of PCK and PCKh.
    """

    skeleton: Skeleton | None = None
    head_sizes: Path | None = None
    min_box_height: float = 0.0


class Benchmark(Protocol):
    """A dataset with its own files and metric."""

    @property
    def name(self) -> str:
        """For the command line and recipes."""

    @property
    def title(self) -> str:
        """As papers write it."""

    def check(
        self, options: Options, *, boxes: str = "gt", nms: str = "none", parts: bool = False, common: bool = False
    ) -> None:
        """Raise RsnError for options that would have no effect."""

    def read_people(self, annotations: Path, images: Path, options: Options) -> PoseDataset:
        """The annotated people, to train on."""

    def read(
        self, annotations: Path, images: Path | None, options: Options, model: Skeleton | None, *, groups: bool = True
    ) -> EvaluationDataset:
        """The dataset, to evaluate on; without images for results only.

        model: the skeleton of the model. groups: whether the metrics of groups are needed.
        """


def _no_groups(document: Entry, where: str) -> dict[str, set[Id]]:
    return {}


def _same_result(entry: Entry) -> Entry:
    return entry


@dataclass(frozen=True, kw_only=True)
class OksBenchmark:
    """A benchmark of OKS AP.

    name: for the command line; title: as papers write it. skeleton: None if the annotations describe it.
    convert: makes a COCO-keypoints document of its files. image_groups: groups of images with metrics of their own.
    keypoint_groups: groups of keypoints with metrics of their own. mean_groups: groups whose metrics are the mean of
    others. convert_result: makes a COCO result of an entry of another form.
    """

    name: str
    title: str
    skeleton: Skeleton | None
    convert: Callable[[Any, str], files.CocoForm] = files.keep_form
    image_groups: ImageGroups = _no_groups
    keypoint_groups: Mapping[str, Sequence[int]] = field(default_factory=dict)
    mean_groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    convert_result: Callable[[Entry], Entry] = _same_result

    def check(
        self, options: Options, *, boxes: str = "gt", nms: str = "none", parts: bool = False, common: bool = False
    ) -> None:
        """Raise RsnError for options that would have no effect."""
        if options.head_sizes is not None:
            raise RsnError("--head-sizes belongs to MPII's lists; add --dataset mpii")
        if options.skeleton is not None and self.skeleton is not None:
            raise RsnError(f"--skeleton belongs to COCO-keypoints JSON; {self.title}'s skeleton is known")
        if parts and self.keypoint_groups:
            raise RsnError(f"{self.title} always has the metrics of its groups of keypoints; leave out --parts")

    def read_people(self, annotations: Path, images: Path, options: Options) -> PoseDataset:
        """The annotated people, to train on.

        Raises:
            AnnotationError: as `rsn.data.coco.read_coco`; files of another dataset.
        """
        form = self.convert(read_json(annotations), str(annotations))
        return parse_coco(form.document, annotations, images, self.skeleton or options.skeleton)

    def read(
        self, annotations: Path, images: Path | None, options: Options, model: Skeleton | None, *, groups: bool = True
    ) -> OksDataset:
        """The dataset, to evaluate on; see `Benchmark.read`.

        Raises:
            AnnotationError: as `read_people` and `GroundTruth.from_coco`; without what the groups need.
        """
        require("hotcoco", extra="eval", feature="COCO evaluation")
        where = str(annotations)
        form = self.convert(read_json(annotations), where)
        skeleton = self.skeleton or options.skeleton
        people = None if images is None else parse_coco(form.document, annotations, images, skeleton)
        categories = resolve_skeleton(form.document, where, skeleton)
        skeleton = copy_sigmas(categories.skeleton, model) if model else categories.skeleton
        truth = GroundTruth.from_coco(form.document, assume_sigmas(skeleton), where, form.ignored)
        image_groups = self.image_groups(form.document, where) if groups else {}
        found = {name: map(truth.images.by_id, ids) for name, ids in image_groups.items()}
        return OksDataset(
            truth=truth,
            people=people,
            document=form.document,
            annotations=annotations,
            images=images or Path(),
            category_ids=categories.category_ids,
            image_groups={
                name: frozenset(truth.image_numbers[index] for index in indices if index is not None)
                for name, indices in found.items()
            },
            keypoint_groups=self.keypoint_groups if groups else {},
            mean_groups=self.mean_groups,
            convert_result=self.convert_result,
        )


@dataclass(frozen=True, kw_only=True)
class PckBenchmark:
    """A benchmark that predicts keypoints in the annotated box of each person, and counts those that are near enough.

    name: for the command line; title: as papers write it. read_file: annotations and images -> people. check_people:
    raises AnnotationError if the metric cannot be computed for some people. compute: the metrics of results.
    has_head_sizes: whether head sizes may be in a file of their own. boxes: what is predicted in, for messages.
    """

    name: str
    title: str
    read_file: Callable[[Path, Path | None], PoseDataset]
    compute: Callable[[Sequence[PersonAnnotation], Results, Skeleton], Metrics]
    metric: str
    boxes: str
    check_people: Callable[[Sequence[PersonAnnotation]], None] = lambda people: None
    has_head_sizes: bool = False

    def check(
        self, options: Options, *, boxes: str = "gt", nms: str = "none", parts: bool = False, common: bool = False
    ) -> None:
        """Raise RsnError for options that would have no effect, or leave people without the result that they need."""
        if options.skeleton is not None:
            raise RsnError(f"--skeleton belongs to COCO-keypoints JSON; {self.title}'s skeleton is known")
        if options.head_sizes is not None and not self.has_head_sizes:
            raise RsnError("--head-sizes belongs to MPII's lists; add --dataset mpii")
        if boxes != "gt" or parts or nms != "none":
            raise RsnError(
                f"{self.metric} takes one prediction per person, in {self.boxes}; leave out --boxes, --parts and --nms"
            )
        if common and self.has_head_sizes:
            raise RsnError("PCKh needs all keypoints of MPII; leave out --common-keypoints")

    def read_people(self, annotations: Path, images: Path, options: Options) -> PoseDataset:
        """The annotated people, to train on.

        Raises:
            AnnotationError: as `read_file` and `with_ground_truth`.
        """
        return self._read(annotations, images, options)

    def read(
        self, annotations: Path, images: Path | None, options: Options, model: Skeleton | None, *, groups: bool = True
    ) -> PckDataset:
        """The dataset, to evaluate on; see `Benchmark.read`.

        Raises:
            AnnotationError: as `read_people` and `check_people`.
        """
        people = self._read(annotations, images, options).filter_valid(min_box_height=options.min_box_height)
        self.check_people(people.people)
        return PckDataset(people, self.compute)

    def _read(self, annotations: Path, images: Path | None, options: Options) -> PoseDataset:
        people = self.read_file(annotations, images)
        return people if options.head_sizes is None else with_ground_truth(people, options.head_sizes)


def _crowd_groups(document: Entry, where: str) -> dict[str, set[Id]]:
    """CrowdPose's images by crowd index: easy, medium, hard.

    Raises:
        AnnotationError: an image without a crowd index.
    """
    groups: dict[str, set[Id]] = {"easy": set(), "medium": set(), "hard": set()}
    for identity, image in _images(document):
        crowd = parse_number(image.get("crowdIndex"))
        if not math.isfinite(crowd):
            raise AnnotationError(
                f"Invalid {where}: expected a crowdIndex for every image, got {image.get('crowdIndex')!r} for image"
                f" {identity}; AP easy, medium and hard need it, so take CrowdPose's own files"
            )
        groups["easy" if crowd < MEDIUM_CROWD else "medium" if crowd < HARD_CROWD else "hard"].add(identity)
    return groups


def _scenarios(document: Entry, where: str) -> dict[str, set[Id]]:
    """Human-Art's images by scenario; none for files without scenarios, such as COCO's in Human-Art's form."""
    groups: dict[str, set[Id]] = {}
    for identity, image in _images(document):
        if isinstance(image.get("category"), str):
            groups.setdefault(image["category"], set()).add(identity)
    return dict(sorted(groups.items()))


def _images(document: Entry) -> Iterable[tuple[Id, Entry]]:
    for image in document["images"]:
        identity = normalize_id(image.get("id"))
        if identity is not None:
            yield identity, image


def _convert_wholebody_result(entry: Entry) -> Entry:
    """A result of 133 keypoints in one list or in five fields, with the area of the body, as the evaluator takes it."""
    if "foot_kpts" in entry:
        entry = entry | {"keypoints": files.join_wholebody(entry, "the results")}
    numbers = parse_numbers(entry.get("keypoints"))
    if numbers is None or len(numbers) != 3 * len(WHOLEBODY_133):
        return entry
    body = np.reshape(numbers[: 3 * len(COCO_17)], (-1, 3))[:, :2]
    return entry | {"bbox": [*body.min(0).tolist(), *np.ptp(body, axis=0).tolist()]}


def _wholebody_parts() -> dict[str, Sequence[int]]:
    names, groups, first = ("body", "foot", "face", "left_hand", "right_hand"), {}, 0
    for name, count in zip(names, files.WHOLEBODY_FIELDS.values(), strict=True):
        groups[name], first = range(first, first + count), first + count
    return dict(groups)


def _read_jhmdb(annotations: Path, images: Path | None) -> PoseDataset:
    form = files.convert_jhmdb(read_json(annotations), str(annotations))
    return parse_coco(form.document, annotations, images, JHMDB_15)


COCO = OksBenchmark(name="coco", title="COCO", skeleton=None)
MPII = PckBenchmark(
    name="mpii",
    title="MPII",
    read_file=read_mpii,
    compute=lambda people, results, skeleton: evaluate_pckh(people, results),
    metric="PCKh",
    boxes="the box of the annotated center and scale",
    check_people=check_head_sizes,
    has_head_sizes=True,
)
BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        COCO,
        MPII,
        OksBenchmark(
            name="crowdpose",
            title="CrowdPose",
            skeleton=CROWDPOSE_14,
            convert=files.convert_crowdpose,
            image_groups=_crowd_groups,
        ),
        OksBenchmark(name="ochuman", title="OCHuman", skeleton=COCO_17, convert=files.convert_ochuman),
        OksBenchmark(name="aic", title="AI Challenger", skeleton=AIC_14, convert=files.convert_aic),
        OksBenchmark(
            name="wholebody",
            title="COCO-WholeBody",
            skeleton=WHOLEBODY_133,
            convert=files.convert_wholebody,
            keypoint_groups=_wholebody_parts(),
            mean_groups={"hands": ("left_hand", "right_hand")},
            convert_result=_convert_wholebody_result,
        ),
        OksBenchmark(
            name="humanart",
            title="Human-Art",
            skeleton=COCO_17,
            convert=files.name_coco_keypoints,
            image_groups=_scenarios,
        ),
        PckBenchmark(
            name="jhmdb",
            title="JHMDB",
            read_file=_read_jhmdb,
            compute=evaluate_pck,
            metric="PCK",
            boxes="the annotated box",
        ),
    )
}


def find_benchmark(name: str) -> Benchmark:
    """The benchmark with this name, such as coco or crowdpose.

    Raises:
        UnknownNameError: there is none; the message names similar ones.
    """
    if name not in BENCHMARKS:
        raise UnknownNameError("dataset", name, BENCHMARKS)
    return BENCHMARKS[name]


def recognize_benchmark(annotations: Path) -> Benchmark:
    """MPII for a .mat file or a JSON list, else COCO."""
    return MPII if is_mpii(annotations) else COCO
