"""Models and annotations with the same keypoints in another order."""

import json
from pathlib import Path

import numpy as np
import pytest

from command import rsn
from people_on_disk import write_people
from rsn import PoseEstimator
from rsn.data.coco import read_coco
from rsn.errors import AnnotationError
from rsn.evaluation.prediction import check_same_skeleton, labeled_boxes, predict_poses
from rsn.skeletons import COCO_17, LSP_14, Skeleton, copy_sigmas

pytest.importorskip("hotcoco")

BACKWARDS = Skeleton.from_names("backwards", COCO_17.keypoint_names[::-1])


@pytest.fixture(scope="module")
def estimator(random_weights: Path) -> PoseEstimator:
    return PoseEstimator(random_weights, backend="torch", detector=None)


def backwards(path: Path) -> Path:
    document = json.loads(path.read_text(encoding="utf-8"))
    document["categories"][0] |= {"keypoints": list(BACKWARDS.keypoint_names), "skeleton": []}
    for person in document["annotations"]:
        person["keypoints"] = np.reshape(person["keypoints"], (-1, 3))[::-1].ravel().tolist()
    other = path.with_name("backwards.json")
    other.write_text(json.dumps(document))
    return other


def test_results_have_keypoint_order_of_annotations(estimator: PoseEstimator, people_json: Path) -> None:
    boxes = labeled_boxes(read_coco(people_json, people_json.parent / "images"))[:1]
    ((first, *_),) = predict_poses(estimator, boxes)
    ((turned, *_),) = predict_poses(estimator, boxes, skeleton=BACKWARDS)
    np.testing.assert_array_equal(
        np.reshape(first["keypoints"], (-1, 3))[::-1], np.reshape(turned["keypoints"], (-1, 3))
    )
    assert first["score"] == turned["score"]


def test_keypoint_order_does_not_change_metrics(tmp_path: Path, estimator: PoseEstimator, random_weights: Path) -> None:
    path = write_people(tmp_path, images=2)
    document = json.loads(path.read_text())
    people = read_coco(path, tmp_path / "images")
    found = [entry for entries in predict_poses(estimator, labeled_boxes(people)) for entry in entries]
    for person, entry in zip(document["annotations"], found, strict=True):  # annotated as predicted
        person["keypoints"] = [2 if place % 3 == 2 else value for place, value in enumerate(entry["keypoints"])]
    path.write_text(json.dumps(document))
    other = backwards(path)
    for name in (path, other):
        results = tmp_path / f"{name.stem}-results.json"
        given = (
            "--annotations",
            name,
            "--images",
            tmp_path / "images",
            "--backend",
            "torch",
            "--results",
            results,
        )
        done = rsn("evaluate", random_weights, *given)
        assert done.returncode == 0, done.stderr
        assert "AP     100.0" in done.stdout
        assert (
            rsn("score", results, "--annotations", name).stdout == done.stdout
        )  # results and annotations have the same order
    assert "AP     100.0" not in rsn("score", results, "--annotations", path).stdout


def test_differences_between_model_and_annotations_are_named() -> None:
    check_same_skeleton(COCO_17, BACKWARDS)
    with pytest.raises(
        AnnotationError,
        match=r"the 14 of lsp_14 \(not annotated: nose.*; not predicted: neck, head_top\)",
    ):
        check_same_skeleton(COCO_17, LSP_14)


def test_sigmas_are_copied_in_keypoint_order() -> None:
    assert COCO_17.sigmas is not None
    assert copy_sigmas(BACKWARDS, COCO_17).sigmas == COCO_17.sigmas[::-1]
    assert copy_sigmas(LSP_14, COCO_17) is LSP_14
    assert copy_sigmas(COCO_17, BACKWARDS) is COCO_17
