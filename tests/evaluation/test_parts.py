"""COCO metrics per body part equal pycocotools' on annotations with these keypoints only."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from coco_crowd import by_pycocotools, crowd_of_people, noisy_results, val2017
from rsn.errors import AnnotationError
from rsn.evaluation.body_parts import body_parts, evaluate_parts, parts_table
from rsn.evaluation.coco import evaluate_keypoints
from rsn.skeletons import COCO_17, MPII_16

pytest.importorskip("hotcoco")


def test_parts_of_a_skeleton_follow_from_its_keypoint_names() -> None:
    assert body_parts(COCO_17) == {
        "head": (0, 1, 2, 3, 4), "shoulders": (5, 6), "elbows": (7, 8), "wrists": (9, 10), "hips": (11, 12),
        "knees": (13, 14), "ankles": (15, 16),
    }  # fmt: skip
    assert body_parts(MPII_16)["upper_neck"] == (8,)
    assert sorted(keypoint for keypoints in body_parts(MPII_16).values() for keypoint in keypoints) == list(range(16))


@pytest.mark.parametrize("part", body_parts(COCO_17))
def test_metrics_of_a_part_equal_pycocotools(part: str) -> None:
    annotations = crowd_of_people(seed=3)
    results = noisy_results(annotations, seed=3)
    alone = copy.deepcopy(annotations)
    for person in alone["annotations"]:
        keypoints = np.reshape(person["keypoints"], (-1, 3))
        keypoints[[keypoint for keypoint in range(17) if keypoint not in body_parts(COCO_17)[part]], 2] = 0
        person["keypoints"] = keypoints.ravel().tolist()
        person["num_keypoints"] = int((keypoints[:, 2] > 0).sum())
    scores = evaluate_parts(annotations, results, COCO_17)[part]
    expected = by_pycocotools(alone, results, COCO_17)
    assert list(scores.as_dict().values()) == pytest.approx(expected, abs=1e-6)
    assert 0.05 < scores.ap < 0.95


def test_only_wrong_part_scores_low() -> None:
    annotations = crowd_of_people()
    for person in annotations["annotations"]:
        person |= {
            "keypoints": [value or 2 for value in person["keypoints"]],
            "num_keypoints": 17,
            "iscrowd": 0,
        }
    found = [person | {"score": 1.0} for person in copy.deepcopy(annotations["annotations"])]
    for person in found:
        person["keypoints"][3 * 9] += 5 * person["area"] ** 0.5
        person["keypoints"][3 * 10] += 5 * person["area"] ** 0.5
    scores = evaluate_parts(annotations, found, COCO_17)
    assert scores.pop("wrists").ap < 0.1
    assert min(part.ap for part in scores.values()) == pytest.approx(1)


def test_part_without_labels_is_undefined() -> None:
    annotations = crowd_of_people()
    for person in annotations["annotations"]:
        person["keypoints"][3 * 15 :] = [0] * 6
        person["num_keypoints"] = sum(value > 0 for value in person["keypoints"][2::3])
    far_away = [
        person | {"keypoints": [value + 1e4 for value in person["keypoints"]], "score": 1.0}
        for person in annotations["annotations"]
    ]
    scores = evaluate_parts(annotations, far_away, COCO_17)
    assert scores["ankles"].ap == -1
    assert scores["knees"].ap == 0
    assert parts_table(scores).splitlines()[-1].split() == ["ankles", *"------"]


def test_annotations_of_another_skeleton_are_rejected() -> None:
    with pytest.raises(AnnotationError, match="48 numbers, not 51"):
        evaluate_parts(crowd_of_people(MPII_16), [], COCO_17)


def test_mmposes_example_results_equal_pycocotools(oracles: Path) -> None:
    results = json.loads((oracles / "coco_results_example.json").read_text())
    annotations = val2017(np.load(oracles.parent / "data/coco/val2017_labels.npz"))
    images = {entry["image_id"] for entry in results}
    annotations["images"] = [image for image in annotations["images"] if image["id"] in images]
    annotations["annotations"] = [person for person in annotations["annotations"] if person["image_id"] in images]
    scores = evaluate_keypoints(annotations, results, COCO_17)
    assert list(scores.as_dict().values()) == pytest.approx(by_pycocotools(annotations, results, COCO_17), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("with_boxes", [False, True])
def test_simulated_results_on_all_of_val2017_equal_pycocotools(shared_dir: Path, with_boxes: bool) -> None:
    annotations = val2017(np.load(shared_dir / "data/coco/val2017_labels.npz"))
    results = noisy_results(annotations, with_boxes=with_boxes)
    scores = evaluate_keypoints(annotations, results, COCO_17)
    assert list(scores.as_dict().values()) == pytest.approx(by_pycocotools(annotations, results, COCO_17), abs=1e-6)
    assert 0.05 < scores.ap < 0.95
