"""The ten COCO metrics equal pycocotools', and invalid input is rejected instead of scored as 0."""

import copy
import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from coco_crowd import Entry, by_pycocotools, crowd_of_people, noisy_results
from rsn.errors import AnnotationError, MissingDependencyError, RsnWarning
from rsn.evaluation.coco import CocoMetrics, evaluate_keypoints
from rsn.skeletons import COCO_17, MPII_16

pytest.importorskip("hotcoco")


def metrics(scores: CocoMetrics) -> list[float]:
    return list(scores.as_dict().values())


@pytest.fixture
def annotations() -> Entry:
    return crowd_of_people()


@pytest.fixture
def results(annotations: Entry) -> list[Entry]:
    return noisy_results(annotations)


@pytest.mark.parametrize("with_boxes", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_metrics_equal_pycocotools(seed: int, with_boxes: bool) -> None:
    annotations = crowd_of_people(seed=seed)
    results = noisy_results(annotations, seed, with_boxes=with_boxes)
    scores = evaluate_keypoints(annotations, results, COCO_17)
    assert metrics(scores) == pytest.approx(by_pycocotools(annotations, results, COCO_17), abs=1e-6)
    assert 0.05 < scores.ap < 0.95


def test_sigmas_of_another_skeleton_are_used() -> None:
    spread = dataclasses.replace(MPII_16, sigmas=tuple(np.linspace(0.02, 0.2, 16)))
    annotations = crowd_of_people(spread)
    results = noisy_results(annotations)
    scores = evaluate_keypoints(annotations, results, spread)
    assert metrics(scores) == pytest.approx(by_pycocotools(annotations, results, spread), abs=1e-6)


@pytest.mark.parametrize("with_boxes", [False, True])
def test_noisy_val2017_equals_pycocotools(shared_dir: Path, with_boxes: bool) -> None:
    path = shared_dir / "data" / "coco" / "person_keypoints_val2017.json"
    annotations = json.loads(path.read_text())
    results = noisy_results(annotations, with_boxes=with_boxes)
    scores = evaluate_keypoints(path, results, COCO_17)
    assert metrics(scores) == pytest.approx(by_pycocotools(annotations, results, COCO_17), abs=1e-6)


def test_recorded_metrics(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "evaluator"
    results = json.loads((folder / "faster_coco_eval_kp_dt_dataset.json").read_text())
    expected = json.loads((folder / "expected.json").read_text())["expected_stats"]
    scores = evaluate_keypoints(folder / "faster_coco_eval_kp_gt_dataset.json", results, COCO_17)
    assert metrics(scores) == pytest.approx(expected, abs=1e-6)


def test_perfect_results_score_one(annotations: Entry) -> None:
    found = [person | {"score": 1.0} for person in annotations["annotations"] if person["num_keypoints"]]
    assert metrics(evaluate_keypoints(annotations, found, COCO_17)) == pytest.approx([1.0] * 10)


def test_empty_results_are_rejected(annotations: Entry) -> None:
    with pytest.raises(AnnotationError, match="no results to evaluate: the list is empty"):
        evaluate_keypoints(annotations, [], COCO_17)


def test_image_ids_may_be_strings(annotations: Entry, results: list[Entry]) -> None:
    expected = evaluate_keypoints(annotations, results, COCO_17)
    for image in annotations["images"]:
        image["id"] = f"image {image['id']:02}"
    for entry in (*annotations["annotations"], *results):
        entry["image_id"] = f"image {entry['image_id']:02}"
    assert evaluate_keypoints(annotations, results, COCO_17) == expected


def test_annotation_id_zero_counts(annotations: Entry, results: list[Entry]) -> None:
    expected = evaluate_keypoints(annotations, results, COCO_17)
    for person in annotations["annotations"]:
        person["id"] -= 1
    assert evaluate_keypoints(annotations, results, COCO_17) == expected


def test_inputs_are_not_modified(annotations: Entry, results: list[Entry]) -> None:
    before = copy.deepcopy((annotations, results))
    evaluate_keypoints(annotations, results, COCO_17)
    assert (annotations, results) == before


def test_nothing_is_printed(annotations: Entry, results: list[Entry], capfd: pytest.CaptureFixture[str]) -> None:
    evaluate_keypoints(annotations, results, COCO_17)
    assert capfd.readouterr() == ("", "")


def test_table() -> None:
    scores = CocoMetrics(0.704, 0.89, 0.781, -1.0, 1.0, 0.76, 0.92, 0.82, -1.0, 1.0)
    assert scores.table().splitlines() == [
        "%       mean    @.50    @.75  medium   large",
        "AP      70.4    89.0    78.1       -   100.0",
        "AR      76.0    92.0    82.0       -   100.0",
    ]


CANNOT_BE_EVALUATED: list[tuple[object, str]] = [
    ({"keypoints": [1.0] * 48}, "with 48 keypoint numbers; coco_17 needs 17 x 3"),
    ({"keypoints": [float("nan")] * 51}, "with keypoints that are not finite numbers"),
    ({"keypoints": ["a"] * 51}, "with keypoints that are not finite numbers"),
    ({"keypoints": 3}, "with keypoints that are not finite numbers"),
    ({"keypoints": None}, "with keypoints that are not finite numbers"),
    ({"score": float("inf")}, "with a score that is not a finite number"),
    ({"score": float("nan")}, "with a score that is not a finite number"),
    ({"score": None}, "with a score that is not a finite number"),
    ({"bbox": [0, 0, 5, float("nan")]}, "with a bbox that is not x, y, width, height"),
    ({"bbox": [0, 0, 5]}, "with a bbox that is not x, y, width, height"),
    ({"image_id": 99}, "of images that the annotations do not list"),
    ({"image_id": None}, "of images that the annotations do not list"),
    ({"image_id": [1]}, "of images that the annotations do not list"),
    ({"category_id": 2}, "of another category"),
    ({"category_id": {}}, "of another category"),
    (None, "that are not a mapping"),
    ([1, 2], "that are not a mapping"),
]


@pytest.mark.parametrize(("change", "reason"), CANNOT_BE_EVALUATED)
def test_invalid_result_is_skipped_and_counted(
    annotations: Entry, results: list[Entry], change: object, reason: str
) -> None:
    expected = evaluate_keypoints(annotations, results, COCO_17)
    bad = results[1] | change if isinstance(change, dict) else change
    with pytest.warns(RsnWarning, match=f"results skipped: 2 {reason}"):
        assert evaluate_keypoints(annotations, [bad, *results, bad], COCO_17) == expected  # type: ignore[list-item]


def test_only_invalid_results_are_rejected(annotations: Entry, results: list[Entry]) -> None:
    for result in results:
        result["image_id"] += 1000
    says = f"no results to evaluate; skipped: {len(results)} of images that the annotations do not list"
    with pytest.warns(RsnWarning), pytest.raises(AnnotationError, match=says):
        evaluate_keypoints(annotations, results, COCO_17)


def test_numbers_as_strings_and_nested_keypoints_are_read(annotations: Entry, results: list[Entry]) -> None:
    expected = evaluate_keypoints(annotations, results, COCO_17)
    for result in results:
        keypoints = result["keypoints"]
        result |= {
            "image_id": f"{result['image_id']:012}", "category_id": "1", "score": str(result["score"]),
            "keypoints": [keypoints[place : place + 3] for place in range(0, 51, 3)],
        }  # fmt: skip
    for image in annotations["images"]:
        image["id"] = float(image["id"])
    assert evaluate_keypoints(annotations, results, COCO_17) == expected


@pytest.mark.parametrize("change", [{"id": "person-2"}, {"id": -2}, {"id": None}, {"id": [2]}, {"id": 2.5}])
def test_annotation_ids_do_not_matter(annotations: Entry, results: list[Entry], change: Entry) -> None:
    expected = evaluate_keypoints(annotations, results, COCO_17)
    annotations["annotations"][1] |= change
    assert evaluate_keypoints(annotations, results, COCO_17) == expected
    del annotations["annotations"][1]["id"]
    assert evaluate_keypoints(annotations, results, COCO_17) == expected


def test_annotations_with_only_crowds_are_rejected(annotations: Entry, results: list[Entry]) -> None:
    for person in annotations["annotations"]:
        person["iscrowd"] = 1
    with pytest.raises(AnnotationError, match="the annotations: no person with keypoints"):
        evaluate_keypoints(annotations, results, COCO_17)


def test_person_without_box_and_area_is_ignored(annotations: Entry, results: list[Entry]) -> None:
    unmarked, unmeasured = copy.deepcopy(annotations), annotations
    unmarked["annotations"][1] |= {"keypoints": [0] * 51, "num_keypoints": 0}
    unmeasured["annotations"][1] |= {"keypoints": [5, 5, 2] + [0] * 48, "num_keypoints": 1}
    del unmeasured["annotations"][1]["bbox"], unmeasured["annotations"][1]["area"]
    expected = evaluate_keypoints(unmarked, results, COCO_17).ap
    with pytest.warns(RsnWarning, match="1 people with neither a box nor an area"):
        assert evaluate_keypoints(unmeasured, results, COCO_17).ap == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("wrong", [None, [], {}, True, float("nan")])
def test_invalid_image_id_is_rejected(annotations: Entry, wrong: object) -> None:
    annotations["images"][0]["id"] = wrong
    with pytest.raises(AnnotationError, match="1 images without id or file_name"):
        evaluate_keypoints(annotations, [], COCO_17)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"keypoints": [1, 1, 2] * 16},
            "1 keypoints that are not x, y, visibility .*annotation 2 \\(48 numbers, not 51\\)",
        ),
        ({"bbox": [1, 2, float("nan"), 4]}, "1 boxes that are not x, y, width, height .*: annotation 2"),
        ({"image_id": 99}, "people in images that the file does not list .*annotation 2 \\(image 99\\)"),
        ({"id": 1}, "1 repeated annotation ids .*: annotation 1"),
        ({"image_id": [1]}, r"people in images that the file does not list .*annotation 2 \(image \[1\]\)"),
    ],
)
def test_invalid_annotation_is_rejected(annotations: Entry, change: Entry, sentence: str) -> None:
    annotations["annotations"][1] |= change
    with pytest.raises(AnnotationError, match=sentence):
        evaluate_keypoints(annotations, [], COCO_17)


@pytest.mark.parametrize("field", ["images", "annotations", "categories"])
def test_document_with_missing_section_is_rejected(annotations: Entry, field: str) -> None:
    del annotations[field]
    with pytest.raises(AnnotationError, match=field):
        evaluate_keypoints(annotations, [], COCO_17)


def test_annotations_without_keypoints_are_rejected(annotations: Entry) -> None:
    for person in annotations["annotations"]:
        person |= {"keypoints": [0] * 51, "num_keypoints": 0}
    with pytest.raises(AnnotationError, match="no person with keypoints"):
        evaluate_keypoints(annotations, [], COCO_17)


def test_repeated_image_is_rejected(annotations: Entry) -> None:
    annotations["images"].append({"id": 3})
    with pytest.raises(AnnotationError, match=r"1 repeated image ids .*: image 3"):
        evaluate_keypoints(annotations, [], COCO_17)


def test_missing_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="no such file"):
        evaluate_keypoints(tmp_path / "none.json", [], COCO_17)


def test_list_instead_of_annotations_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("[]")
    with pytest.raises(AnnotationError, match="not a COCO keypoints file"):
        evaluate_keypoints(tmp_path / "results.json", [], COCO_17)


def test_skeleton_without_sigmas_is_rejected() -> None:
    with pytest.raises(AnnotationError, match="OKS needs sigmas, and 'mpii_16' has none"):
        evaluate_keypoints(crowd_of_people(MPII_16), [], MPII_16)


def test_missing_hotcoco_is_reported(annotations: Entry, results: list[Entry], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hotcoco", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'rsn-pose\[eval\]'"):
        evaluate_keypoints(annotations, results, COCO_17)
