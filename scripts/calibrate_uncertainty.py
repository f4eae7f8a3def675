"""Calibrate the expected errors of keypoints (`PoseResult.std`) of rsn18.starter, and compare them with actual errors.

Usage: python scripts/calibrate_uncertainty.py ANNOTATIONS.json IMAGES

ANNOTATIONS.json is a COCO keypoints file. The three numbers of `ModelMetadata.uncertainty` are fitted to the labeled
keypoints, with labeled boxes and without the flip test, and written into the JSON file beside the weights. The tables
that are printed come from fits on a random half of the images, measured on the other half, ten times both ways.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsn import PoseEstimator, read_image
from rsn.data.annotations import ImageFile, PersonAnnotation
from rsn.data.coco import read_coco
from rsn.geometry import FloatArray, box_iou
from rsn.io.files import atomic_write
from rsn.io.validation import read_json
from rsn.weights.uncertainty import MIN_SPREAD, Uncertainty

WEIGHTS = "rsn18.starter"
METADATA = Path(__file__).parents[1] / "src" / "rsn" / "weights" / f"{WEIGHTS}.json"
SPLITS = 10  # random halves of the images
MIN_IOU = 0.5  # of a detected box and a labeled one, for both to be of the same person
CLOSE = 0.2  # distance relative to the square root of the person's area at which a keypoint counts as right
LOW_SCORE = 0.1

People = list[tuple[PersonAnnotation, float]]  # with the area of each


@dataclass(frozen=True, eq=False)
class Keypoints:
    """Predicted keypoints, one row each.

    image: number of the image. spread: pixels of the crop. score: in [0, 1]. scale: pixels of the crop per pixel of
    the image. labeled: whether the keypoint is labeled; only then the error (pixels of the image) has a meaning.
    right: whether it is labeled and near. on_other: whether it is nearer to this keypoint of another labeled person.
    """

    image: NDArray[np.int64]
    spread: FloatArray
    score: FloatArray
    scale: FloatArray
    error: FloatArray
    labeled: NDArray[np.bool_]
    right: NDArray[np.bool_]
    on_other: NDArray[np.bool_]

    def features(self) -> FloatArray:
        """(M, 3): what the logarithm of the expected error is a linear function of."""
        spread = np.maximum(self.spread, MIN_SPREAD)
        return np.column_stack([np.ones(len(spread)), np.log(spread), -self.score])

    def predicted(self, coefficients: FloatArray) -> FloatArray:
        """Expected errors (M,) in pixels of the image."""
        return np.asarray(np.exp(self.features() @ coefficients) / self.scale)


def main(annotations: Path, images: Path) -> None:
    """Fit the three numbers, write them, and print the tables."""
    people = read_people(annotations, images)
    plain = PoseEstimator(WEIGHTS)
    flip = PoseEstimator(WEIGHTS, detector=None, flip_test=True)
    labeled = predict(plain, people, detect=False)
    settings = {
        "labeled boxes": labeled,
        "labeled boxes, flip test": predict(flip, people, detect=False),
        "detected boxes": predict(plain, people, detect=True),
    }
    write(fit(labeled, labeled.labeled))
    print(decile_table(labeled, settings))
    print(group_table(labeled))


def read_people(annotations: Path, images: Path) -> dict[ImageFile, People]:
    """Return the labeled people of each image, and their areas in pixels."""
    entries = read_json(annotations)["annotations"]
    areas = {(entry["image_id"], *map(float, entry["bbox"])): float(entry["area"]) for entry in entries}
    found: dict[ImageFile, People] = {}
    for person in read_coco(annotations, images).filter_valid().people:
        found.setdefault(person.image, []).append((person, areas[person.image.id, *person.box.tolist()]))
    return found


def predict(estimator: PoseEstimator, people: dict[ImageFile, People], *, detect: bool) -> Keypoints:
    """Return the keypoints of all labeled people, in their boxes or in detected ones."""
    rows = [
        np.column_stack([np.full(len(row), number), row])
        for number, (image, labeled) in enumerate(people.items())
        for row in predict_image(estimator, image, labeled, detect=detect)
    ]
    image, spread, score, scale, error, marked, right, on_other = np.concatenate(rows).T
    flags = (marked > 0, right > 0, on_other > 0)
    return Keypoints(image.astype(int), spread, score, scale, error, *flags)


def predict_image(estimator: PoseEstimator, image: ImageFile, people: People, *, detect: bool) -> Iterator[FloatArray]:
    """Yield (K, 7) for each person: the fields of `Keypoints` without the image."""
    pixels = read_image(image.path)
    boxes = np.stack([person.box for person, _ in people])
    chosen = np.arange(len(people))
    if detect:
        boxes, chosen = matched(estimator.detect(pixels)[0], boxes)
    if not len(boxes):
        return
    crops = estimator.preprocess(pixels, boxes, np.ones(len(boxes)))
    heatmaps = estimator.forward([crops])
    codec = estimator.metadata.codec
    found, raw = codec.decode(heatmaps)
    spreads = codec.spread(heatmaps, found).double().numpy()
    scores = codec.confidence(raw).double().numpy()
    truth = np.stack([person.keypoints for person, _ in people])
    visible = np.stack([person.visibility > 0 for person, _ in people])
    for crop, keypoints, spread, score, own in zip(crops.crops, found.numpy(), spreads, scores, chosen, strict=True):
        distances = np.linalg.norm(crop.to_image(keypoints) - truth, axis=-1)  # (people, K)
        error, labeled = distances[own], visible[own]
        others = np.where(visible, distances, np.inf)
        others[own] = np.inf
        near = error <= CLOSE * np.sqrt(people[own][1])
        on_other = labeled & ~near & (others.min(0) < error)
        yield np.column_stack(
            [spread, score, np.full(len(spread), crop.scale), error, labeled, labeled & near, on_other]
        )


def matched(detected: FloatArray, labeled: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
    """Return the best detected box of each labeled person that has one, and the indices of these people."""
    if not len(detected):
        return np.empty((0, 4)), np.empty(0, np.int64)
    overlaps = box_iou(labeled, detected)
    found = np.flatnonzero(overlaps.max(1) >= MIN_IOU)
    return detected[overlaps.argmax(1)[found]], found


def fit(keypoints: Keypoints, chosen: NDArray[np.bool_]) -> FloatArray:
    """Fit the coefficients of `Keypoints.features` to the errors of the chosen keypoints.

    A regression for the mean of positive numbers that spread as widely as they are large: generalized linear model of
    the gamma family with a logarithmic link, by iteratively reweighted least squares (McCullagh and Nelder, 1989).
    """
    features = keypoints.features()[chosen]
    errors = (keypoints.error * keypoints.scale)[chosen]
    coefficients = np.array([np.log(errors.mean()), 0.0, 0.0])
    for _ in range(100):
        expected = features @ coefficients
        target = expected + errors / np.exp(expected) - 1
        coefficients = np.linalg.lstsq(features, target, rcond=None)[0]
    return np.asarray(coefficients)


def write(coefficients: FloatArray) -> None:
    """Replace the calibration in the JSON file beside the weights."""
    logarithm, exponent, decay = coefficients.tolist()
    calibration = Uncertainty(round(float(np.exp(logarithm)), 4), round(exponent, 4), round(decay, 4))
    document = json.loads(METADATA.read_text(encoding="utf-8")) | {"uncertainty": vars(calibration)}
    atomic_write(METADATA, (json.dumps(document, indent=1) + "\n").encode())
    print(calibration)


def cross_validated(fitted: Keypoints, measured: Keypoints) -> tuple[FloatArray, NDArray[np.int64]]:
    """Return expected errors of keypoints on images that were not fitted, and which keypoint each belongs to."""
    expected, indices = [], []
    number_of_images = int(fitted.image.max()) + 1
    for seed in range(SPLITS):
        order = np.random.default_rng(seed).permutation(number_of_images)
        for half in (order[: number_of_images // 2], order[number_of_images // 2 :]):
            coefficients = fit(fitted, fitted.labeled & np.isin(fitted.image, half))
            others = np.flatnonzero(~np.isin(measured.image, half))
            expected.append(measured.predicted(coefficients)[others])
            indices.append(others)
    return np.concatenate(expected), np.concatenate(indices)


def decile_table(fitted: Keypoints, settings: dict[str, Keypoints]) -> str:
    """Return the mean expected and actual errors of each tenth of the keypoints, by expected error, as Markdown."""
    columns = {}
    for name, measured in settings.items():
        expected, indices = cross_validated(fitted, measured)
        labeled = measured.labeled[indices]
        expected, actual = expected[labeled], measured.error[indices][labeled]
        tenths = np.array_split(np.argsort(expected), 10)
        columns[name] = [f"{expected[tenth].mean():.1f} / {actual[tenth].mean():.1f}" for tenth in tenths]
    lines = [f"| tenth | {' | '.join(columns)} |", f"|---{'|---' * len(columns)}|"]
    lines += [f"| {row + 1} | {' | '.join(cells)} |" for row, cells in enumerate(zip(*columns.values(), strict=True))]
    return "\n".join(lines) + "\n"


def group_table(keypoints: Keypoints) -> str:
    """Return mean expected and actual errors of keypoints that are right, wrong and unlabeled, as Markdown."""
    expected, indices = cross_validated(keypoints, keypoints)
    labeled, right, on_other = (flags[indices] for flags in (keypoints.labeled, keypoints.right, keypoints.on_other))
    groups = {
        "all labeled": labeled,
        "right": right,
        "nearer to this keypoint of another person": on_other,
        "wrong in another way": labeled & ~right & ~on_other,
        f"labeled, score below {LOW_SCORE}": labeled & (keypoints.score[indices] < LOW_SCORE),
        "not labeled": ~labeled,
    }
    lines = ["| keypoints | number | expected: mean | median | actual: mean | median |", "|---|---|---|---|---|---|"]
    for name, chosen in groups.items():
        actual = keypoints.error[indices][chosen & labeled]
        errors = [f"{actual.mean():.1f}", f"{np.median(actual):.1f}"] if len(actual) else ["", ""]
        own = expected[chosen]
        cells = [name, f"{len(np.unique(indices[chosen])):,}", f"{own.mean():.1f}", f"{np.median(own):.1f}", *errors]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
