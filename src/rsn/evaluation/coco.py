"""COCO keypoint evaluation: how well the joints in a results file agree with the annotated ones (OKS).

hotcoco does the counting, with figures equal to pycocotools'. It answers 0 for results that cannot match
anything, so what it is given is checked here first.
"""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from rsn.datasets.coco import for_evaluation, read_json
from rsn.errors import AnnotationError
from rsn.extras import require
from rsn.skeletons import Skeleton

NOBODY = -1.0  # a figure that cannot be told, as COCO writes it
Entry = dict[str, Any]


@dataclass(frozen=True)
class KeypointScores:
    """The ten COCO figures, each from 0 to 1, or -1 where the annotations hold nobody of that size.

    ap, ar: average precision and recall over the OKS thresholds 0.50, 0.55 ... 0.95; ap50 ... ar75: at one.
    medium: people of 32^2 to 96^2 pixels; large: of more. Small ones have no figures of their own.
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
        """The figures by the names of the papers' tables: AP, AP50, AP75, APM, APL, AR, AR50, AR75, ARM, ARL."""
        return {
            name.replace("_medium", "m").replace("_large", "l").upper(): figure
            for name, figure in asdict(self).items()
        }

    def table(self) -> str:
        """Two rows, precision and recall, in percent; a dash where there is nobody to tell it from."""
        figures = [percent(figure) for figure in self.as_dict().values()]
        rows = (("%", "mean", "@.50", "@.75", "medium", "large"), ("AP", *figures[:5]), ("AR", *figures[5:]))
        return "\n".join(f"{name:<4}" + "".join(f"{cell:>8}" for cell in cells) for name, *cells in rows)


def evaluate_keypoints(
    annotations: Path | Entry, results: Sequence[Entry], skeleton: Skeleton
) -> KeypointScores:
    """Compare a COCO keypoint results list with the annotations.

    annotations: a COCO keypoints file, or what it holds. Every image in it counts, with results or without.
    results: entries with image_id, category_id, keypoints (x, y, score a joint; image pixels) and score; an
        empty list is a legal answer. Whether a person found in vain is medium or large is told by the area of
        the entry's `bbox`, if it has one, else by the extent of its joints (so for published figures).
    skeleton: the body of both; its sigmas are the ones used.

    The figures equal pycocotools', with one exception: pycocotools counts a person found as missed where its
    annotation's id is 0.

    Raises:
        AnnotationError: annotations or results that do not fit the skeleton or each other; no sigmas.
        DeviceError: hotcoco is not installed.
    """
    if skeleton.sigmas is None:
        raise AnnotationError(
            f"skeleton {skeleton.name!r} has no sigmas, and OKS cannot be computed without; PCKh needs none"
        )
    document = annotations if isinstance(annotations, dict) else read_json(annotations)
    images = _number_images(document)
    where = "the annotations" if isinstance(annotations, dict) else str(annotations)
    document = for_evaluation(document, where, skeleton)
    truth = _checked_annotations(document, skeleton, images)
    categories = {person["category_id"] for person in truth["annotations"]}
    found = [_checked_result(entry, skeleton, images, categories) for entry in results]
    return _count(truth, found, skeleton.sigmas)


def _count(truth: Entry, found: list[Entry], sigmas: Sequence[float]) -> KeypointScores:
    require("hotcoco", extra="train", for_what="COCO evaluation")
    import hotcoco

    try:
        ground = hotcoco.COCO(truth)
        evaluation = hotcoco.COCOeval(ground, ground.load_res(found), "keypoints")
    except (ValueError, TypeError, OverflowError) as error:  # such as negative ids
        raise AnnotationError(f"not what COCO evaluation can read: {error}") from error
    evaluation.params.kpt_oks_sigmas = list(sigmas)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summary_lines()  # makes the figures as summarize() does, without printing them
    return KeypointScores(*(float(figure) for figure in evaluation.stats))


def _number_images(document: Any) -> dict[int | str, int]:
    """Image id -> number, as hotcoco takes no texts; in the ids' order, which ranks equal scores."""
    try:
        ids = sorted(image["id"] for image in document["images"])
    except (KeyError, TypeError) as error:
        raise AnnotationError(f"not COCO annotations, which list images with an id each: {error}") from error
    twice = next((image for image, following in pairwise(ids) if image == following), None)
    if twice is not None:
        raise AnnotationError(f"the annotations list image {twice!r} twice; each needs an id of its own")
    return {image: number for number, image in enumerate(ids, start=1)}


def _checked_annotations(document: Any, skeleton: Skeleton, images: dict[int | str, int]) -> Entry:
    """What OKS needs of the annotations and nothing else: fields that others added cannot disturb it."""
    try:
        people = [_checked_person(annotation, skeleton, images) for annotation in document["annotations"]]
        categories = [{"id": category["id"], "name": category["name"]} for category in document["categories"]]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise AnnotationError(f"not COCO keypoint annotations: {error}") from error
    if not any(person["num_keypoints"] for person in people):
        raise AnnotationError("the annotations hold nobody with joints; there is nothing to compare with")
    if len({person["id"] for person in people}) < len(people):
        twice = Counter(person["id"] for person in people).most_common(1)[0][0]
        raise AnnotationError(f"annotation id {twice} is given twice; each person needs an id of its own")
    return {
        "images": [{"id": number} for number in images.values()],
        "categories": categories,
        "annotations": people,
    }


def _checked_person(annotation: Entry, skeleton: Skeleton, images: dict[int | str, int]) -> Entry:
    name = f"annotation {annotation['id']}"
    try:
        hash((annotation["id"], annotation["category_id"], annotation["image_id"]))
    except TypeError:
        raise AnnotationError(f"{name} has an id that is neither a number nor a text") from None
    joints = annotation["keypoints"] if "keypoints" in annotation else [0.0] * 3 * len(skeleton)
    _check_numbers(name, skeleton, joints, [*annotation["bbox"], annotation["area"]])
    marked = annotation.get("num_keypoints")  # with 0, neither hit nor miss
    return {
        "id": annotation["id"],
        "category_id": annotation["category_id"],
        "area": annotation["area"],
        "bbox": annotation["bbox"],
        "image_id": _number_of(name, annotation["image_id"], images),
        "keypoints": joints,
        "iscrowd": int(annotation.get("iscrowd", 0)),
        "num_keypoints": sum(visibility > 0 for visibility in joints[2::3]) if marked is None else marked,
    }


def _checked_result(
    entry: Entry, skeleton: Skeleton, images: dict[int | str, int], categories: Collection[int]
) -> Entry:
    try:
        name = f"a result for image {entry['image_id']!r}"
        _check_numbers(name, skeleton, entry["keypoints"], [entry["score"], *entry.get("bbox", ())])
        if entry["category_id"] not in categories:
            raise AnnotationError(f"{name}: nobody is annotated as category {entry['category_id']!r}")
        result = {
            "image_id": _number_of(name, entry["image_id"], images),
            "category_id": entry["category_id"],
            "keypoints": entry["keypoints"],
            "score": entry["score"],
        }
        if "bbox" in entry:
            result["bbox"] = entry["bbox"]
        return result
    except (KeyError, TypeError) as error:
        raise AnnotationError(f"not an entry of a COCO keypoint results file: {error}") from error


def _number_of(name: str, image: int | str, images: dict[int | str, int]) -> int:
    if image not in images:
        raise AnnotationError(f"{name}: the annotations list no image {image!r}; are they the right ones?")
    return images[image]


def _check_numbers(name: str, skeleton: Skeleton, keypoints: list[float], others: list[float]) -> None:
    if len(keypoints) != 3 * len(skeleton):
        raise AnnotationError(
            f"{name} has {len(keypoints)} keypoint numbers; {skeleton.name} needs {len(skeleton)} x 3"
        )
    try:
        # What is not finite makes the sum so, which is quicker than a look at each; very large numbers may, too.
        finite = math.isfinite(sum(keypoints) + sum(others)) or all(map(math.isfinite, (*keypoints, *others)))
    except (TypeError, OverflowError):
        finite = False
    if not finite:
        raise AnnotationError(f"{name} holds something that is not a finite number")


def percent(figure: float) -> str:
    """A figure for a table: in percent, a dash where there is none."""
    return "-" if figure == NOBODY else f"{100 * figure:.1f}"
