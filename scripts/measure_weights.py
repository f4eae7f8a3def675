"""Measure the weights of the package and write the metrics into their metadata and into a JSON file.

Usage: python scripts/measure_weights.py ANNOTATIONS.json IMAGES METRICS.json

ANNOTATIONS.json is a COCO keypoints file. On all its images: the pose weights with labeled boxes and the flip test,
and details (mean OKS by size of the person and by number of labeled keypoints, PCK by keypoint, the keypoints that are
right by score, and their precision and recall by `keypoint_threshold`). On the images with
`annotations_complete`: the detector, the output of `rsn predict` without options, and precision and recall of the
people that it reports by `person_threshold`.
"""

import json
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsn import COCO_17, PoseEstimator
from rsn.data.annotations import PersonAnnotation
from rsn.data.coco import read_coco
from rsn.detection import open_detector
from rsn.evaluation import evaluate_keypoints
from rsn.evaluation.detection import BoxMetrics, evaluate_boxes, measure_detector
from rsn.evaluation.prediction import labeled_boxes, predict_poses
from rsn.io.files import atomic_write
from rsn.io.validation import read_json
from rsn.results import EMPTY, to_raw
from rsn.weights.loading import load_model
from rsn.weights.metadata import DetectorMetadata
from rsn.weights.sources import load_metadata

POSES, PEOPLE = "rsn18.starter", "rsn18.people"
PACKAGE = Path(__file__).parents[1] / "src" / "rsn" / "weights"
SIDES = (0, 32, 64, 96, 128, 192, 256, np.inf)  # limits of the square root of a person's area, in pixels
COUNTS = (1, 6, 11, 15, 18)  # limits of the number of labeled keypoints
PCK_AT = 0.5  # distance relative to the square root of the area
CLOSE = 0.2  # distance relative to the square root of the area at which a keypoint counts as right
THRESHOLDS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7)  # tried as keypoint_threshold
PERSON_THRESHOLDS = (0.0, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1)  # tried as person_threshold; 0: all boxes
BETA = 0.5  # of the F-measure: precision counts more than recall, since a wrong limb is worse than a missing one


def main(annotations: Path, images: Path, metrics: Path) -> None:
    """Measure the weights, print and write the metrics."""
    document = read_json(annotations)
    complete = complete_part(document)
    poses, details = measure_poses(annotations, images)
    people = measure_people(document, images)
    report = {
        POSES: poses | {"details": details},
        PEOPLE: people,
        "end_to_end": measure_predict(complete, images),
    }
    write_metrics(POSES, {name: value for name, value in poses.items() if isinstance(value, float)})
    write_metrics(PEOPLE, {name: people[name] for name in ("AP", "AP50", "precision", "recall")})
    text = json.dumps(report, indent=1)
    atomic_write(metrics, (text + "\n").encode())
    print(text)


def complete_part(document: dict[str, Any]) -> dict[str, Any]:
    """Return the fully labeled images and their annotations."""
    images = [image for image in document["images"] if image.get("annotations_complete")]
    ids = {image["id"] for image in images}
    annotations = [entry for entry in document["annotations"] if entry["image_id"] in ids]
    return document | {"images": images, "annotations": annotations}


def measure_poses(annotations: Path, images: Path) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the ten COCO metrics with labeled boxes and the flip test, and the details."""
    estimator = PoseEstimator(POSES, detector=None, flip_test=True)
    people = read_coco(annotations, images).filter_valid()
    boxes = labeled_boxes(people)
    found = [entry for entries in predict_poses(estimator, boxes) for entry in entries]
    scores = evaluate_keypoints(annotations, found, COCO_17)
    by_image: dict[Any, list[PersonAnnotation]] = {}
    for person in people.people:
        by_image.setdefault(person.image, []).append(person)
    labeled = [person for image in boxes for person in by_image[image.image]]  # in the order of the results
    areas = {(entry["image_id"], *entry["bbox"]): entry["area"] for entry in read_json(annotations)["annotations"]}
    sizes = np.array([areas[person.image.id, *person.box.tolist()] for person in labeled])
    return rounded(scores.as_dict()), details_of(labeled, sizes, found)


def details_of(
    labeled: list[PersonAnnotation], areas: NDArray[np.float64], found: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the mean OKS by size and by number of labeled keypoints, and PCK by keypoint."""
    truth = np.stack([person.keypoints for person in labeled])
    visible = np.stack([person.visibility for person in labeled]) > 0
    points = np.array([entry["keypoints"] for entry in found]).reshape(len(found), -1, 3)
    distances = np.linalg.norm(points[..., :2] - truth, axis=-1)
    sigmas = np.asarray(COCO_17.sigmas)
    similarity = np.exp(-(distances**2) / (2 * (2 * sigmas) ** 2 * areas[:, None]))
    oks = (similarity * visible).sum(1) / visible.sum(1)
    right = distances <= PCK_AT * np.sqrt(areas)[:, None]
    keypoint_scores = np.clip(points[..., 2] - EMPTY, 0, 1)
    close = distances <= CLOSE * np.sqrt(areas)[:, None]
    return {
        "mean_oks": round(float(oks.mean()), 3),
        "mean_oks_by_square_root_of_area": groups(np.sqrt(areas), oks, SIDES),
        "mean_oks_by_labeled_keypoints": groups(visible.sum(1), oks, COUNTS),
        f"share_within_{CLOSE}_of_square_root_of_area_by_score": by_score(keypoint_scores[visible], close[visible]),
        "keypoint_threshold": by_threshold(keypoint_scores, visible, close & visible),
        f"pck_at_{PCK_AT}_of_square_root_of_area": {
            name: round(float(right[visible[:, i], i].mean()), 3) for i, name in enumerate(COCO_17.keypoint_names)
        },
    }


def by_score(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> dict[str, dict[str, float]]:
    """Return the number of keypoints and the share that is right, by score in steps of 0.1."""
    steps = np.minimum(10 * scores, 9).astype(int)
    return {
        f"{step / 10:.1f} to {(step + 1) / 10:.1f}": {
            "keypoints": int((steps == step).sum()),
            "share": round(float(right[steps == step].mean()), 3),
        }
        for step in np.unique(steps)
    }


def by_threshold(
    scores: NDArray[np.float64], labeled: NDArray[np.bool_], right: NDArray[np.bool_]
) -> dict[str, dict[str, float]]:
    """Return precision and recall of the keypoints (N, K) that score at least as high as a threshold.

    precision: share of them that is right. A keypoint that is not labeled counts as wrong; in precision_of_labeled it
    does not count. recall: share of the labeled keypoints that is right and not below the threshold.
    """
    table = {}
    for threshold in THRESHOLDS:
        kept = scores >= threshold
        precision, recall = (right & kept).sum() / kept.sum(), (right & kept).sum() / labeled.sum()
        values = {
            "precision": precision,
            "precision_of_labeled": (right & kept).sum() / (labeled & kept).sum(),
            "recall": recall,
            "F0.5": (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall),
        }
        table[f"{threshold:g}"] = {name: round(float(value), 3) for name, value in values.items()}
    return table


def groups(values: NDArray[Any], oks: NDArray[np.float64], limits: tuple[float, ...]) -> dict[str, dict[str, float]]:
    """Return mean OKS and number of the people whose value is in [one limit, the next)."""
    table = {}
    for low, high in pairwise(limits):
        chosen = (values >= low) & (values < high)
        if chosen.any():
            table[f"{low:g} to {high:g}"] = {
                "people": int(chosen.sum()),
                "mean_oks": round(float(oks[chosen].mean()), 3),
            }
    return table


def measure_people(document: dict[str, Any], images: Path) -> dict[str, Any]:
    """Return the AP of the detector, and precision and recall at its threshold."""
    scores = measure_detector(open_detector("starter", box_threshold=0.02), document, images)
    metadata = load_metadata(PEOPLE)
    assert isinstance(metadata, DetectorMetadata)
    settings = metadata.detector
    precision, recall = scores.precision_and_recall(settings.box_threshold)
    return rounded({"AP": scores.ap, "AP50": scores.ap50, "precision": precision, "recall": recall}) | {
        "image_sizes": list(settings.image_sizes),
        "flip_test": settings.flip_test,
        "box_threshold": settings.box_threshold,
    }


def measure_predict(document: dict[str, Any], images: Path) -> dict[str, Any]:
    """Return AP of `rsn predict` without options, and precision and recall of people (IoU of 0.5)."""
    paths = [str(images / image["file_name"]) for image in document["images"]]
    reported = predicted(paths)
    every = predicted(paths, "--person-threshold", "0")
    scores = evaluate_keypoints(document, [to_raw(entry) for entry in reported], COCO_17)
    return {
        "AP": round(scores.ap, 4),
        "AP50": round(scores.ap50, 4),
        "person_threshold": load_model(POSES).metadata.person_threshold,
        "people": people_by_threshold(document, every),
    }


def predicted(paths: list[str], *options: str) -> list[dict[str, Any]]:
    """Return the entries of poses.json."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "rsn", "predict", *paths, "--output", folder, *options]
        subprocess.run(command, check=True)
        entries: list[dict[str, Any]] = read_json(Path(folder) / "poses.json")
    return entries


def people_by_threshold(document: dict[str, Any], entries: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return precision and recall of the boxes of the entries from each person threshold on."""
    results = [
        {"image_id": entry["image_id"], "category_id": 1, "bbox": entry["bbox"], "score": entry["score"]}
        for entry in entries
    ]
    scores: BoxMetrics = evaluate_boxes(document, results)
    both = {threshold: scores.precision_and_recall(threshold) for threshold in PERSON_THRESHOLDS}
    return {f"{threshold:g}": rounded({"precision": p, "recall": r}) for threshold, (p, r) in both.items()}


def write_metrics(name: str, metrics: dict[str, float]) -> None:
    """Replace the metrics in the JSON file beside weights of the package."""
    path = PACKAGE / f"{name}.json"
    document = json.loads(path.read_text(encoding="utf-8")) | {"metrics": metrics}
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def rounded(metrics: dict[str, float]) -> dict[str, float]:
    """Round to four digits."""
    return {name: round(float(value), 4) for name, value in metrics.items()}


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
