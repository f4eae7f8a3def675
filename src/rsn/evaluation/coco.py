"""COCO keypoint evaluation: how well the keypoints in a results file agree with the annotated ones (OKS).

hotcoco does the counting, with metrics equal to pycocotools'. It answers 0 for results that cannot match
anything, so what it is given is checked here first. Evaluation of nothing is an error and no AP of 0.
"""

import math
import warnings
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from rsn.data.box_values import number, numbers, within_first_pixel
from rsn.data.coco import read_json
from rsn.data.records import Annotation, read_records
from rsn.data.references import References, plain_id
from rsn.errors import AnnotationError, RsnWarning
from rsn.extras import require
from rsn.inference.box_checks import reasons
from rsn.skeletons import Skeleton, skeleton_from_names

NOBODY = -1.0  # a figure that cannot be told, as COCO writes it
CATEGORY = 1  # that all who are evaluated have for hotcoco
NOBODY_COUNTS = (
    "there is nobody with keypoints to compare with; crowds and people without a marked keypoint do not count"
)
Entry = dict[str, Any]


@dataclass(frozen=True)
class CocoMetrics:
    """The ten COCO metrics, each from 0 to 1, or -1 where the annotations hold nobody of that size.

    ap, ar: average precision and recall over the OKS thresholds 0.50, 0.55 ... 0.95; ap50 ... ar75: at one.
    medium: people of 32^2 to 96^2 pixels; large: of more. Small ones have no metrics of their own.
    """

    ap: float
    ap50: float
    ap75: float
    ap_medium: float
    ap_large: float
    ar: float
    ar50: float
    ar75: float
    ar_medium: float
    ar_large: float

    @property
    def headline(self) -> tuple[str, float]:
        """The figure to choose weights by, and its name."""
        return "ap", self.ap

    def as_dict(self) -> dict[str, float]:
        """The metrics by the names of the papers' tables: AP, AP50, AP75, APM, APL, AR, AR50, AR75, ARM, ARL."""
        return {
            name.replace("_medium", "m").replace("_large", "l").upper(): figure
            for name, figure in asdict(self).items()
        }

    def table(self) -> str:
        """Two rows, precision and recall, in percent; a dash where there is nobody to tell it from."""
        metrics = [percent(figure) for figure in self.as_dict().values()]
        rows = (("%", "mean", "@.50", "@.75", "medium", "large"), ("AP", *metrics[:5]), ("AR", *metrics[5:]))
        return "\n".join(f"{name:<4}" + "".join(f"{cell:>8}" for cell in cells) for name, *cells in rows)


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Annotated people, checked, in the form that hotcoco takes; evaluation of several results needs it only once.

    document: images, categories and annotations of one category. images: what tells which image a result is of.
    numbers: of the images in `document`, in the order of `images`. category_ids: plain ids of the categories that have
    these keypoints and are evaluated as one.
    """

    skeleton: Skeleton
    document: Entry
    images: References
    numbers: Sequence[int]
    category_ids: frozenset[int | str | None]

    @classmethod
    def from_coco(
        cls, annotations: Path | Entry, skeleton: Skeleton, where: str = "the annotations"
    ) -> "GroundTruth":
        """Check a COCO keypoints file, or what it holds; `where` is what an error calls the latter.

        Raises:
            AnnotationError: not COCO keypoints of this skeleton, errors in it (see `rsn.data.records`), nobody with
                keypoints who counts, or no sigmas.
        """
        if skeleton.sigmas is None:
            raise AnnotationError(
                f"skeleton {skeleton.name!r} has no sigmas, and OKS cannot be computed without; PCKh needs none"
            )
        document = annotations if isinstance(annotations, dict) else read_json(annotations)
        where = where if isinstance(annotations, dict) else str(annotations)
        records = read_records(document, where, skeleton).checked(areas=True)
        numbers = _numbered([image.id for image in records.images])
        numbered = dict(zip(records.images, numbers, strict=True))
        people = [
            _person(place, person, numbered[person.image])
            for place, person in enumerate(records.annotations, 1)
        ]
        _check_people(people, where)
        return cls(
            skeleton,
            {
                "images": [{"id": number} for number in numbers],
                "categories": [{"id": CATEGORY, "name": "person"}],
                "annotations": people,
            },
            records.references,
            numbers,
            frozenset(records.categories.orders),
        )

    def with_only(self, keypoints: Collection[int]) -> "GroundTruth":
        """The same people, of whom only these keypoints (by index) are marked."""
        people = [_with_only(keypoints, person) for person in self.document["annotations"]]
        return replace(self, document={**self.document, "annotations": people})

    @property
    def is_empty(self) -> bool:
        """Whether nobody counts: whoever is no crowd has no keypoint marked."""
        return not any(
            person["num_keypoints"] and not person["iscrowd"] for person in self.document["annotations"]
        )

    def select(self, results: Sequence[Any]) -> tuple[list[Entry], Counter[str]]:
        """Results that can be evaluated, in the form that hotcoco takes, and how many are left out, by reason."""
        selected: list[Entry] = []
        skipped: Counter[str] = Counter()
        for entry in results:
            result = _checked_result(entry, self)
            if isinstance(result, str):
                skipped[result] += 1
            else:
                selected.append(result)
        return selected, skipped


def evaluate_keypoints(
    annotations: Path | Entry | GroundTruth, results: Sequence[Entry], skeleton: Skeleton
) -> CocoMetrics:
    """Compare a COCO keypoint results list with the annotations.

    annotations: a COCO keypoints file, what it holds, or what `GroundTruth.from_coco` made of it. Every image in it counts,
        with results or without.
    results: entries with image_id, category_id, keypoints (x, y, score a keypoint; image pixels) and score. Those
        that cannot be evaluated are left out, and an RsnWarning counts them. Whether a person found in vain is medium
        or large is told by the area of the entry's `bbox`, if it has one, else by the extent of its keypoints (so for
        published metrics).
    skeleton: the skeleton of both; its sigmas are the ones used.

    The metrics equal pycocotools', with one exception: pycocotools counts a person found as missed where its
    annotation's id is 0.

    Raises:
        AnnotationError: annotations that do not fit the skeleton; no sigmas; nothing to evaluate: no result that can
            be, or nobody annotated who counts.
        MissingDependencyError: hotcoco is not installed.
    """
    truth = (
        annotations if isinstance(annotations, GroundTruth) else GroundTruth.from_coco(annotations, skeleton)
    )
    selected, skipped = truth.select(results)
    if skipped:
        warnings.warn(f"results left out: {reasons(skipped)}", RsnWarning, stacklevel=2)
    return evaluate_selected(truth, selected, skipped)


def evaluate_selected(
    truth: GroundTruth, selected: Sequence[Entry], skipped: Counter[str] | None = None
) -> CocoMetrics:
    """The metrics of what `GroundTruth.select` returned; raises what `evaluate_keypoints` does."""
    if not selected:
        why = f"; left out: {reasons(skipped)}" if skipped else ": the list is empty"
        raise AnnotationError(f"there are no results to evaluate{why}")
    if all(within_first_pixel(np.reshape(entry["keypoints"], (-1, 3))) for entry in selected):
        raise AnnotationError(
            "all keypoints of the results lie within the first pixel, as shares of the image do; write pixels: multiply"
            " by width and height"
        )
    if truth.is_empty:
        raise AnnotationError(f"the annotations: {NOBODY_COUNTS}")
    evaluation = run_hotcoco(truth.document, selected, "keypoints", truth.skeleton.sigmas or ())
    return CocoMetrics(*(float(figure) for figure in evaluation.stats))


def run_hotcoco(document: Entry, results: Sequence[Entry], kind: str, sigmas: Sequence[float] = ()) -> Any:
    """Hotcoco's evaluation of results against the people of a document, its metrics computed.

    kind: "keypoints", which needs sigmas, or "bbox".

    Raises:
        AnnotationError: what the library cannot read. MissingDependencyError: hotcoco is not installed.
    """
    require("hotcoco", extra="train", feature="COCO evaluation")
    import hotcoco

    try:
        truth = hotcoco.COCO(document)
        evaluation = hotcoco.COCOeval(truth, truth.load_res(list(results)), kind)
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise AnnotationError(f"not what COCO evaluation can read: {error}") from error
    if sigmas:
        evaluation.params.kpt_oks_sigmas = list(sigmas)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summary_lines()  # makes the metrics as summarize() does, without printing them
    return evaluation


def _numbered(ids: Sequence[int | str]) -> list[int]:
    """A number for each image, as hotcoco takes no texts; in the ids' order, which ranks equal scores."""
    plain = [plain_id(identity) for identity in ids]
    order = sorted(range(len(ids)), key=lambda place: (isinstance(plain[place], str), plain[place]))
    numbers = [0] * len(ids)
    for rank, place in enumerate(order, start=1):
        numbers[place] = rank
    return numbers


def _person(place: int, person: Annotation, image: int) -> Entry:
    """What OKS needs of an annotation and nothing else: fields that others added cannot disturb it."""
    return {
        "id": place,
        "category_id": CATEGORY,
        "area": person.area,
        "bbox": person.box.tolist(),
        "image_id": image,
        "keypoints": person.keypoints.ravel().tolist(),
        "iscrowd": int(person.crowd),
        "num_keypoints": person.marked if person.area > 0 else 0,  # with 0, neither hit nor miss
    }


def _check_people(people: Sequence[Entry], where: str) -> None:
    unmeasured = sum(any(person["keypoints"][2::3]) and not person["area"] > 0 for person in people)
    if unmeasured:
        warnings.warn(
            f"{where}: {unmeasured} people with neither a box nor an area count neither as found nor as missed",
            RsnWarning,
            stacklevel=3,
        )
    if not any(person["num_keypoints"] and not person["iscrowd"] for person in people):
        raise AnnotationError(f"{where}: {NOBODY_COUNTS}")


def _with_only(keypoints: Collection[int], person: Entry) -> Entry:
    kept = [
        value if place % 3 != 2 or place // 3 in keypoints else 0
        for place, value in enumerate(person["keypoints"])
    ]
    marked = sum(visibility > 0 for visibility in kept[2::3])
    return {**person, "keypoints": kept, "num_keypoints": min(marked, person["num_keypoints"])}


def _checked_result(entry: Any, truth: GroundTruth) -> Entry | str:
    """A result in the form that hotcoco takes, or why it cannot be evaluated."""
    if not isinstance(entry, dict):
        return "that are no mapping"
    image = _image_of(entry, truth)
    if image is None:
        return "of images that the annotations do not list"
    if entry.get("category_id") is not None and plain_id(entry["category_id"]) not in truth.category_ids:
        return "of another category"
    score = number(entry.get("score"))
    if not math.isfinite(score):
        return "with a score that is no finite number"
    keypoints = numbers(entry.get("keypoints"))
    if keypoints is None:
        return "with keypoints that are no finite numbers"
    if len(keypoints) != 3 * len(truth.skeleton):
        return (
            f"with {len(keypoints)} keypoint numbers; {truth.skeleton.name} needs {len(truth.skeleton)} x 3"
        )
    names = entry.get("keypoint_names")  # as rsn predict writes them
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        order = _order_of(tuple(names), truth.skeleton)
        if order is None:
            return f"with other keypoints than {truth.skeleton.name}"
        keypoints = [value for place in order for value in keypoints[3 * place : 3 * place + 3]]
    result = {"image_id": image, "category_id": CATEGORY, "keypoints": keypoints, "score": score}
    if entry.get("bbox"):
        box = numbers(entry["bbox"])
        if box is None or len(box) != 4:
            return "with a bbox that is not x, y, width, height"
        result["bbox"] = box
    return result


@lru_cache(maxsize=64)
def _order_of(names: tuple[str, ...], skeleton: Skeleton) -> tuple[int, ...] | None:
    """For each keypoint of a skeleton its index among names; None where they are not the same."""
    try:
        return skeleton_from_names("results", names).order_in(skeleton)
    except AnnotationError:  # names that repeat, for instance
        return None


def _image_of(entry: Entry, truth: GroundTruth) -> int | None:
    """The number of the image that a result is of: by its file name where that is told and listed, or by its id."""
    name = entry.get("file_name")
    try:
        place = truth.images.by_name(name) if isinstance(name, str) else None
        place = truth.images.by_id(entry.get("image_id")) if place is None else place
    except AnnotationError:  # it could be several
        return None
    return None if place is None else truth.numbers[place]


def percent(figure: float) -> str:
    """A figure for a table: in percent, a dash where there is none."""
    return "-" if figure == NOBODY else f"{100 * figure:.1f}"
