"""Record what xtcocotools, the evaluator of MMPose, computes for the miniatures of tests/benchmark_miniatures.py.

    python3.11 -m venv venv && venv/bin/pip install 'numpy<2' cython 'setuptools<81' wheel matplotlib
    venv/bin/pip install --no-build-isolation xtcocotools==1.14.3
    venv/bin/python scripts/record_benchmark_metrics.py tests/evaluation/benchmark_metrics.json

It needs neither rsn nor torch. tests/evaluation/test_benchmarks.py compares rsn's metrics with the file.
"""

import contextlib
import hashlib
import io
import json
import sys
import tempfile
from collections.abc import Collection
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from xtcocotools.coco import COCO
from xtcocotools.cocoeval import COCOeval

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import benchmark_miniatures as miniatures

Entry = dict[str, Any]

NAMES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
CROWD_NAMES = ("AP", "AP50", "AP75", "AR", "AR50", "AR75")
BODY = [26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]
FEET = [68, 66, 66, 92, 94, 94]
FACE = [
    42, 43, 44, 43, 40, 35, 31, 25, 20, 23, 29, 32, 37, 38, 43, 41, 45, 13, 12, 11, 11, 12, 12, 11, 11, 13, 15, 9, 7, 7,
    7, 12, 9, 8, 16, 10, 17, 11, 9, 11, 9, 7, 13, 8, 11, 12, 10, 34, 8, 8, 9, 8, 8, 7, 10, 8, 9, 9, 9, 7, 7, 8, 11, 8,
    8, 8, 10, 8,
]  # fmt: skip
HAND = [29, 22, 35, 37, 47, 26, 25, 24, 35, 18, 24, 22, 26, 17, 21, 21, 32, 20, 19, 22, 31]
CROWD = [79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89, 79, 79]
AIC = [
    0.01388152, 0.01515228, 0.01057665, 0.01417709, 0.01497891, 0.01402144, 0.03909642, 0.03686941, 0.01981803,
    0.03843971, 0.03412318, 0.02415081, 0.01291456, 0.01236173,
]  # fmt: skip
PARTS = {
    "body": ("keypoints", BODY),
    "foot": ("keypoints_foot", FEET),
    "face": ("keypoints_face", FACE),
    "left_hand": ("keypoints_lefthand", HAND),
    "right_hand": ("keypoints_righthand", HAND),
}


def evaluate(
    document: Entry,
    results: list[Entry],
    sigmas: list[float],
    kind: str = "keypoints",
    *,
    use_area: bool = True,
    images: Collection[int] | None = None,
) -> dict[str, float]:
    """The metrics of the evaluator by name; -1 where it has nobody to compute them from."""
    spread = np.array(sigmas) / (1000 if max(sigmas) > 1 else 1)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = Path(folder) / "annotations.json"
        path.write_text(json.dumps(document))
        truth = COCO(str(path))
        evaluation = COCOeval(truth, truth.loadRes(json.loads(json.dumps(results))), kind, spread, use_area)
        if images is not None:
            evaluation.params.imgIds = sorted(images)
        evaluation.evaluate()
        evaluation.accumulate()
        if images is not None:  # as CrowdPose's evaluator, but not rounded to four digits
            return {"AP": float(np.mean(evaluation.eval["precision"][:, :, :, 0, :]))}
        evaluation.summarize()
    names = CROWD_NAMES if kind == "keypoints_crowd" else NAMES
    return dict(zip(names, map(float, evaluation.stats), strict=False))


def of_images(document: Entry, results: list[Entry], groups: dict[str, list[int]], *args: Any, **options: Any) -> Entry:
    """The AP of each group of images."""
    return {
        name: evaluate(document, results, *args, images=images, **options) for name, images in groups.items() if images
    }


def crowdpose(made: miniatures.Miniature) -> Entry:
    """Without areas; also by crowd index."""
    document = made.annotations
    index = {image["id"]: image["crowdIndex"] for image in document["images"]}
    groups = {  # the limits of the evaluator
        "easy": [image for image, crowd in index.items() if crowd < 0.2],
        "medium": [image for image, crowd in index.items() if 0.2 <= crowd < 0.8],
        "hard": [image for image, crowd in index.items() if crowd >= 0.8],
    }
    arguments = CROWD, "keypoints_crowd"
    return {
        "metrics": evaluate(document, made.results, *arguments, use_area=False),
        "groups": of_images(document, made.results, groups, *arguments, use_area=False),
    }


def humanart(made: miniatures.Miniature) -> Entry:
    """As COCO; also by scenario."""
    document = made.annotations
    groups = {
        scenario: [image["id"] for image in document["images"] if image["category"] == scenario]
        for scenario in miniatures.SCENARIOS
    }
    return {
        "metrics": evaluate(document, made.results, BODY),
        "groups": of_images(document, made.results, groups, BODY),
    }


def wholebody(made: miniatures.Miniature) -> Entry:
    """All keypoints, and each part of the body."""
    groups = {part: evaluate(made.annotations, made.results, sigmas, kind) for part, (kind, sigmas) in PARTS.items()}
    groups["hands"] = {
        name: (groups["left_hand"][name] + groups["right_hand"][name]) / 2 for name in groups["left_hand"]
    }
    sigmas = BODY + FEET + FACE + HAND + HAND
    return {
        "metrics": evaluate(made.annotations, made.results, sigmas, "keypoints_wholebody"),
        "groups": groups,
    }


def coco_form(made: miniatures.Miniature) -> Entry:
    """As COCO."""
    return {"metrics": evaluate(made.annotations, made.results, BODY), "groups": {}}


def aic(made: miniatures.Miniature) -> Entry:
    """In COCO's form, as MMPose evaluates it: without areas."""
    images, annotations = [], []
    for number, image in enumerate(made.annotations, 1):
        images.append({"id": number})
        for name, keypoints in image["keypoint_annotations"].items():
            x1, y1, x2, y2 = image["human_annotations"][name]
            triples = np.reshape(keypoints, (14, 3))
            triples[:, 2] = 3 - triples[:, 2]
            annotations.append(_person(annotations, number, [x1, y1, x2 - x1, y2 - y1], triples))
    results = [entry | {"image_id": int(entry["image_id"], 16)} for entry in made.results]
    return {"metrics": evaluate(_document(images, annotations), results, AIC, use_area=False), "groups": {}}


def ochuman_original(made: miniatures.Miniature) -> Entry:
    """In COCO's form, as the dataset's API converts it: people with keypoints and masks, areas of boxes."""
    source = made.annotations
    order = [source["keypoint_names"].index(name) for name in miniatures.COCO_NAMES]
    images, annotations = [], []
    for image in source["images"]:
        people = [entry for entry in image["annotations"] if entry["keypoints"] and entry["segms"]]
        if people:
            images.append({"id": int(image["image_id"])})
        for entry in people:
            x1, y1, x2, y2 = entry["bbox"]
            triples = np.reshape(entry["keypoints"], (-1, 3))[order]
            triples[:, 2] = np.array([0, 2, 2, 1])[triples[:, 2].astype(int)]
            box = [x1, y1, x2 - x1, y2 - y1]
            annotations.append(_person(annotations, int(image["image_id"]), box, triples) | {"area": box[2] * box[3]})
    listed = {image["id"] for image in images}
    results = [entry | {"image_id": int(entry["image_id"])} for entry in made.results]
    results = [entry for entry in results if entry["image_id"] in listed]
    return {"metrics": evaluate(_document(images, annotations), results, BODY), "groups": {}}


def _person(annotations: list[Entry], image: int, box: list[float], triples: Any) -> Entry:
    return {
        "id": len(annotations) + 1,
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": box,
        "num_keypoints": int((triples[:, 2] > 0).sum()),
        "keypoints": triples.ravel().tolist(),
    }


def _document(images: list[Entry], annotations: list[Entry]) -> Entry:
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}


def main() -> None:
    """Evaluate all miniatures, and write the file that the first argument names."""
    recorded: Entry = {"evaluator": f"xtcocotools {version('xtcocotools')}"}
    for name, evaluated in {
        "coco": coco_form,
        "ochuman": coco_form,
        "ochuman_original": ochuman_original,
        "humanart": humanart,
        "crowdpose": crowdpose,
        "wholebody": wholebody,
        "aic": aic,
    }.items():
        made = miniatures.MINIATURES[name]()
        content = json.dumps([made.annotations, made.results]).encode()
        recorded[name] = {"sha256": hashlib.sha256(content).hexdigest()} | evaluated(made)
    Path(sys.argv[1]).write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
