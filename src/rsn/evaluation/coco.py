"""COCO keypoint evaluation: average precision and recall by OKS.

hotcoco computes the metrics, which equal pycocotools'. It scores results that cannot match anything as 0, so results
are checked here first, and an evaluation without results or without annotated people is an error.
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

from rsn.data.records import Annotation, read_records
from rsn.data.references import References
from rsn.data.values import Id, normalize_id, parse_number, parse_numbers, within_first_pixel
from rsn.errors import AnnotationError, RsnWarning
from rsn.extras import require
from rsn.inference.box_checks import reasons
from rsn.io.validation import read_json
from rsn.skeletons import Skeleton

UNDEFINED = -1.0  # a metric without annotated people to compute it from, as COCO writes it
CATEGORY_ID = 1  # of everything that hotcoco is given
NO_PEOPLE = "no person with keypoints to evaluate; crowds and people without a labeled keypoint do not count"
Entry = dict[str, Any]


@dataclass(frozen=True)
class CocoMetrics:
    """The ten COCO metrics, each from 0 to 1, or -1 where there is no annotated person of that size.

    ap, ar: average precision and recall over the OKS thresholds 0.50, 0.55 ... 0.95; ap50 ... ar75: at one threshold.
    medium: people of 32^2 to 96^2 pixels; large: larger ones. COCO has no metrics for small people.
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
        """Name and value of the metric by which training chooses the best weights."""
        return "ap", self.ap

    def as_dict(self) -> dict[str, float]:
        """The metrics as the papers name them: AP, AP50, AP75, APM, APL, AR, AR50, AR75, ARM, ARL."""
        return {
            name.replace("_medium", "m").replace("_large", "l").upper(): value for name, value in asdict(self).items()
        }

    def table(self) -> str:
        """A row of precision and a row of recall, in percent; "-" for a metric that is undefined."""
        cells = [percent(value) for value in self.as_dict().values()]
        head = ("%", "mean", "@.50", "@.75", "medium", "large")
        return format_table([head, ("AP", *cells[:5]), ("AR", *cells[5:])])


UNDEFINED_METRICS = CocoMetrics(*[UNDEFINED] * 10)


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Annotated people, checked and converted for hotcoco once, so that several results can be evaluated with them.

    document: images, categories and annotations as hotcoco takes them. images: finds the image of a result.
    image_numbers: of the images in `document`, in the order of `images`. category_ids: of the categories with the
    keypoints of `skeleton`; they are evaluated as one.
    """

    skeleton: Skeleton
    document: Entry
    images: References
    image_numbers: Sequence[int]
    category_ids: frozenset[int | str | None]

    @classmethod
    def from_coco(
        cls,
        annotations: Path | Entry,
        skeleton: Skeleton,
        where: str = "the annotations",
        ignored: Collection[Id] = (),
    ) -> "GroundTruth":
        """Read and check a COCO keypoints file, or its parsed content, which messages call `where`.

        ignored: ids of people who do not count, as COCO's crowds: results that match them do not count either.

        Raises:
            AnnotationError: not COCO keypoints of this skeleton, errors in it (see `rsn.data.records`), no person with
                keypoints who counts, or a skeleton without sigmas.
        """
        if skeleton.sigmas is None:
            raise AnnotationError(
                f"Invalid skeleton: OKS needs sigmas, and {skeleton.name!r} has none; add sigmas to its skeleton file"
            )
        document = annotations if isinstance(annotations, dict) else read_json(annotations)
        where = where if isinstance(annotations, dict) else str(annotations)
        records = read_records(document, where, skeleton).check(areas=True)
        image_numbers = _number_images([image.id for image in records.images])
        by_image = dict(zip(records.images, image_numbers, strict=True))
        people = [
            _convert_person(index, person, by_image[person.image], counts=normalize_id(person.id) not in ignored)
            for index, person in enumerate(records.annotations, 1)
        ]
        document = {
            "images": [{"id": number} for number in image_numbers],
            "categories": [{"id": CATEGORY_ID, "name": "person"}],
            "annotations": people,
        }
        category_ids = frozenset(records.categories.orders)
        truth = cls(skeleton, document, records.references, image_numbers, category_ids)
        if without_size := sum(
            any(seen > 0 for seen in person["keypoints"][2::3]) and not person["area"] > 0 for person in people
        ):
            warnings.warn(
                f"{where}: {without_size} people with neither a box nor an area are not evaluated",
                RsnWarning,
                stacklevel=2,
            )
        if truth.is_empty:
            raise AnnotationError(f"{where}: {NO_PEOPLE}")
        return truth

    def with_only(self, keypoints: Collection[int]) -> "GroundTruth":
        """The same people with only these keypoints (indices) labeled."""
        people = []
        for person in self.document["annotations"]:
            triples = np.reshape(person["keypoints"], (-1, 3))
            triples[[index for index in range(len(triples)) if index not in keypoints], 2] = 0
            labeled = min(int((triples[:, 2] > 0).sum()), person["num_keypoints"])
            people.append(person | {"keypoints": triples.ravel().tolist(), "num_keypoints": labeled})
        return replace(self, document=self.document | {"annotations": people})

    def with_skeleton(self, skeleton: Skeleton, indices: Sequence[int]) -> "GroundTruth":
        """The same people with other keypoints: `indices` in the present skeleton of those of `skeleton`.

        People without any of them are ignored.
        """
        people = []
        for person in self.document["annotations"]:
            triples = np.reshape(person["keypoints"], (-1, 3))[list(indices)]
            labeled = int((triples[:, 2] > 0).sum()) if person["num_keypoints"] else 0
            people.append(person | {"keypoints": triples.ravel().tolist(), "num_keypoints": labeled})
        return replace(self, skeleton=skeleton, document=self.document | {"annotations": people})

    def with_images(self, numbers: Collection[int]) -> "GroundTruth":
        """Only the people of these images, by the numbers of `image_numbers`."""
        images = [image for image in self.document["images"] if image["id"] in numbers]
        people = [person for person in self.document["annotations"] if person["image_id"] in numbers]
        return replace(self, document=self.document | {"images": images, "annotations": people})

    @property
    def is_empty(self) -> bool:
        """Whether no person counts: all are crowds or have no labeled keypoint."""
        return not any(person["num_keypoints"] and not person["iscrowd"] for person in self.document["annotations"])

    def select(self, results: Sequence[Any]) -> tuple[list[Entry], Counter[str]]:
        """Valid results, converted for hotcoco, and the number of skipped ones by reason."""
        selected: list[Entry] = []
        skipped: Counter[str] = Counter()
        for entry in results:
            result = self._convert_result(entry)
            if isinstance(result, str):
                skipped[result] += 1
            else:
                selected.append(result)
        return selected, skipped

    def _convert_result(self, entry: Any) -> Entry | str:
        """A result as hotcoco takes it, or the reason to skip it."""
        if not isinstance(entry, dict):
            return "that are not a mapping"
        image = self._find_image(entry)
        if image is None:
            return "of images that the annotations do not list"
        category = entry.get("category_id")
        if category is not None and normalize_id(category) not in self.category_ids:
            return "of another category"
        score = parse_number(entry.get("score"))
        if not math.isfinite(score):
            return "with a score that is not a finite number"
        keypoints = parse_numbers(entry.get("keypoints"))
        if keypoints is None:
            return "with keypoints that are not finite numbers"
        name, size = self.skeleton.name, len(self.skeleton)
        if len(keypoints) != 3 * size:
            return f"with {len(keypoints)} keypoint numbers; {name} needs {size} x 3"
        names = entry.get("keypoint_names")  # written by rsn predict
        if isinstance(names, list) and all(isinstance(keypoint, str) for keypoint in names):
            order = _order_of(tuple(names), self.skeleton)
            if order is None:
                return f"with other keypoints than {name}"
            keypoints = [value for index in order for value in keypoints[3 * index : 3 * index + 3]]
        result = {"image_id": image, "category_id": CATEGORY_ID, "keypoints": keypoints, "score": score}
        if entry.get("bbox"):
            box = parse_numbers(entry["bbox"])
            if box is None or len(box) != 4:
                return "with a bbox that is not x, y, width, height"
            result["bbox"] = box
        return result

    def _find_image(self, entry: Entry) -> int | None:
        """The number of a result's image: found by file name if it is given and listed, else by id."""
        name = entry.get("file_name")
        try:
            index = self.images.by_name(name) if isinstance(name, str) else None
            index = self.images.by_id(entry.get("image_id")) if index is None else index
        except AnnotationError:  # several images match
            return None
        return None if index is None else self.image_numbers[index]


def evaluate_keypoints(
    annotations: Path | Entry | GroundTruth, results: Sequence[Entry], skeleton: Skeleton
) -> CocoMetrics:
    """Compare a COCO keypoint results list with the annotations.

    annotations: a COCO keypoints file, its parsed content, or a `GroundTruth`. All of its images count, also those
        without results.
    results: entries with image_id, category_id, keypoints (x, y, score per keypoint; image pixels) and score. Invalid
        ones are skipped, and an RsnWarning counts them. The area of the entry's `bbox`, or without one the extent of
        its keypoints (as for published metrics), decides whether a false positive is medium or large.
    skeleton: of annotations and results; its sigmas are used.

    The metrics equal pycocotools' with one exception: pycocotools counts a matched annotation whose id is 0 as missed.

    Raises:
        AnnotationError: annotations that do not fit the skeleton, a skeleton without sigmas, no valid result, or no
            annotated person who counts.
        MissingDependencyError: hotcoco is not installed.
    """
    truth = annotations if isinstance(annotations, GroundTruth) else GroundTruth.from_coco(annotations, skeleton)
    selected, skipped = truth.select(results)
    if skipped:
        warnings.warn(f"results skipped: {reasons(skipped)}", RsnWarning, stacklevel=2)
    return evaluate_selected(truth, selected, skipped)


def evaluate_selected(
    truth: GroundTruth, selected: Sequence[Entry], skipped: Counter[str] | None = None
) -> CocoMetrics:
    """The metrics of the return value of `GroundTruth.select`; raises what `evaluate_keypoints` does."""
    if not selected:
        why = f"; skipped: {reasons(skipped)}" if skipped else ": the list is empty"
        raise AnnotationError(f"no results to evaluate{why}")
    if all(within_first_pixel(np.reshape(entry["keypoints"], (-1, 3))) for entry in selected):
        raise AnnotationError(
            "all keypoints of the results lie within the first pixel, so they seem to be fractions of the image size;"
            " multiply them by width and height"
        )
    if truth.is_empty:
        raise AnnotationError(f"the annotations: {NO_PEOPLE}")
    return evaluate_group(truth, selected)


def evaluate_group(truth: GroundTruth, selected: Sequence[Entry]) -> CocoMetrics:
    """The metrics of a part of a dataset, in which there may be no people (all metrics are -1) or no results (0).

    selected: of the return value of `GroundTruth.select`.
    """
    if truth.is_empty:
        return UNDEFINED_METRICS
    evaluation = run_hotcoco(truth.document, selected, "keypoints", truth.skeleton.sigmas or ())
    return CocoMetrics(*(float(value) for value in evaluation.stats))


def run_hotcoco(document: Entry, results: Sequence[Entry], kind: str, sigmas: Sequence[float] = ()) -> Any:
    """Hotcoco's finished evaluation of results against a document.

    kind: "keypoints", which needs sigmas, or "bbox".

    Raises:
        AnnotationError: the library cannot read the input. MissingDependencyError: hotcoco is not installed.
    """
    require("hotcoco", extra="eval", feature="COCO evaluation")
    import hotcoco

    try:
        truth = hotcoco.COCO(document)
        evaluation = hotcoco.COCOeval(truth, truth.load_res(list(results)), kind)
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise AnnotationError(f"COCO evaluation cannot read the annotations or results: {error}") from error
    if sigmas:
        evaluation.params.kpt_oks_sigmas = list(sigmas)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summary_lines()  # computes the metrics as summarize() does, without printing them
    return evaluation


def percent(value: float) -> str:
    """A metric for a table: in percent, "-" if it is undefined."""
    return "-" if value == UNDEFINED else f"{100 * value:.1f}"


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as text: the first column left-aligned, the others right-aligned."""
    width = max(4, *(len(row[0]) + 2 for row in rows))
    return "\n".join(f"{name:<{width}}" + "".join(f"{cell:>8}" for cell in cells) for name, *cells in rows)


def _number_images(ids: Sequence[int | str]) -> list[int]:
    """A number for each image, as hotcoco accepts no text; in the order of the ids, which ranks equal scores."""
    plain = [normalize_id(identity) for identity in ids]
    ordered = sorted(plain, key=lambda identity: (isinstance(identity, str), identity))
    numbers = {identity: rank for rank, identity in enumerate(ordered, start=1)}
    return [numbers[identity] for identity in plain]


def _convert_person(index: int, person: Annotation, image: int, *, counts: bool) -> Entry:
    """Only what OKS needs of an annotation, so that additional fields of other tools do no harm."""
    return {
        "id": index,
        "category_id": CATEGORY_ID,
        "area": person.area,
        "bbox": person.box.tolist(),
        "image_id": image,
        # Unknown keypoints (visibility -1) count as absent.
        "keypoints": np.maximum(person.keypoints, [-np.inf, -np.inf, 0]).ravel().tolist(),
        "iscrowd": int(person.crowd),
        "num_keypoints": person.marked if person.area > 0 and counts else 0,  # 0: ignored by the evaluation
    }


@lru_cache(maxsize=64)
def _order_of(names: tuple[str, ...], skeleton: Skeleton) -> tuple[int, ...] | None:
    """For each keypoint of a skeleton its index among names; None where the two differ."""
    try:
        return Skeleton.from_names("results", names).permutation_to(skeleton)
    except AnnotationError:  # for example, repeated names
        return None
