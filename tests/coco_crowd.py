"""Made-up COCO annotations and results, and what pycocotools says about them."""

import contextlib
import copy
import io
from typing import Any

import numpy as np
import pytest

from rsn.skeletons import COCO_17, Skeleton

Entry = dict[str, Any]


def crowd_of_people(skeleton: Skeleton = COCO_17, seed: int = 0) -> Entry:
    """Twelve images with up to four people of all sizes; some keypoints, and all of some people, are unlabeled."""
    rng = np.random.default_rng(seed)
    people: list[Entry] = []
    for image in range(1, 13):
        for _ in range(rng.integers(0, 5)):
            x, y, width, height = *rng.uniform(0, 400, 2), *np.exp(rng.uniform(3, 5.5, 2))
            keypoints = rng.uniform((x, y), (x + width, y + height), (len(skeleton), 2)).round(1)
            visibility = rng.integers(0, 3, len(skeleton)) * (rng.random() < 0.85)
            people.append(
                {
                    "id": len(people) + 1,
                    "image_id": image,
                    "category_id": 1,
                    "iscrowd": 0 if visibility.any() else int(rng.integers(0, 2)),
                    "area": float(0.6 * width * height),
                    "bbox": [x, y, width, height],
                    "keypoints": np.column_stack([keypoints, visibility]).ravel().tolist(),
                    "num_keypoints": int((visibility > 0).sum()),
                }
            )
    return {
        "images": [{"id": image} for image in range(1, 13)],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": people,
    }


def noisy_results(annotations: Entry, seed: int = 0, *, with_boxes: bool = False) -> list[Entry]:
    """Results: each person is missed, found or found twice, with errors of various sizes and many equal scores."""
    rng = np.random.default_rng(seed)
    results: list[Entry] = []
    for person in annotations["annotations"]:
        for _ in range(rng.integers(0, 3)):
            keypoints = np.array(person["keypoints"], np.float64).reshape(-1, 3)
            keypoints[:, :2] += rng.normal(0, rng.uniform(0, 0.1) * person["area"] ** 0.5, keypoints[:, :2].shape)
            entry = {
                "image_id": person["image_id"],
                "category_id": person["category_id"],
                "keypoints": keypoints.ravel().tolist(),
                "score": round(rng.random(), 1),
            }
            if with_boxes:
                entry["bbox"] = (rng.uniform(0.5, 2, 4) * person["bbox"]).tolist()
            results.append(entry)
    return [results[i] for i in rng.permutation(len(results))]


def by_pycocotools(annotations: Entry, results: list[Entry], skeleton: Skeleton) -> list[float]:
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = copy.deepcopy(annotations)
        truth.createIndex()
        evaluation = cocoeval.COCOeval(truth, truth.loadRes(copy.deepcopy(results)), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(skeleton.sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return list(evaluation.stats)


def val2017(labels: Any) -> Entry:
    """All people of COCO val2017 as annotations, from normalized labels; all images are taken as 640 x 480."""
    size = np.array([640, 480])
    images = labels["val2017_image_id"]
    people: list[Entry] = []
    for image, box, keypoints, visibility in zip(
        images,
        labels["val2017_box"].astype(float) * [*size, *size],
        labels["val2017_xy"].astype(float) * size,
        labels["val2017_visible"],
        strict=True,
    ):
        people.append(
            {
                "id": len(people) + 1,
                "image_id": int(image),
                "category_id": 1,
                "iscrowd": 0,
                "area": 0.53 * box[2] * box[3],
                "bbox": [box[0] - box[2] / 2, box[1] - box[3] / 2, box[2], box[3]],
                "keypoints": np.column_stack([keypoints, visibility]).ravel().tolist(),
                "num_keypoints": int((visibility > 0).sum()),
            }
        )
    return {
        "images": [{"id": int(image)} for image in np.unique(images)],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": people,
    }
