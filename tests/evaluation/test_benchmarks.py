"""The public benchmarks: metrics beside the field's evaluators, on small files in the official formats."""

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rsn
from benchmark_miniatures import MINIATURES, WHOLEBODY_FIELDS, Miniature
from rsn.data.benchmark_files import convert_jhmdb
from rsn.errors import AnnotationError, RsnError, UnknownNameError
from rsn.evaluation import BENCHMARKS, PckMetrics, find_benchmark
from rsn.evaluation.benchmarks import Options
from rsn.skeletons import AIC_14, CROWDPOSE_14, JHMDB_15, WHOLEBODY_133, Skeleton

pytest.importorskip("hotcoco")

# Written by scripts/record_benchmark_metrics.py.
RECORDED = json.loads((Path(__file__).parent / "benchmark_metrics.json").read_text())
BY_OKS = ("coco", "crowdpose", "ochuman", "ochuman_original", "aic", "wholebody", "humanart")


def write(content: Any, folder: Path, name: str = "annotations.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def evaluate(made: Miniature, dataset: str, folder: Path) -> rsn.evaluation.Evaluation:
    return rsn.evaluate(made.results, write(made.annotations, folder), dataset=dataset)


@pytest.mark.filterwarnings("ignore::rsn.errors.RsnWarning")
@pytest.mark.parametrize("name", BY_OKS)
def test_metrics_equal_those_of_xtcocotools(name: str, tmp_path: Path) -> None:
    made, recorded = MINIATURES[name](), RECORDED[name]
    content = json.dumps([made.annotations, made.results]).encode()
    assert hashlib.sha256(content).hexdigest() == recorded["sha256"], "the miniature has changed; record it again"
    found = evaluate(made, name.removesuffix("_original"), tmp_path)
    metrics = found.metrics.as_dict()
    assert {key: metrics[key] for key in recorded["metrics"]} == pytest.approx(recorded["metrics"], abs=1e-9)
    assert sorted(found.groups) == sorted(recorded["groups"])
    for group, expected in recorded["groups"].items():
        of_group = found.groups[group].as_dict()
        assert {key: of_group[key] for key in expected} == pytest.approx(expected, abs=1e-9), group
    assert all(group in found.table() for group in recorded["groups"])


def plain_pck(document: Any, found: dict[tuple[int, int], list[list[float]]]) -> dict[str, float]:
    """PCK and tPCK as MMPose documents them for sub-JHMDB, keypoint by keypoint and person by person."""
    order = list(JHMDB_15.keypoint_names)
    hits: dict[str, list[list[bool]]] = {"": [[] for _ in order], " tPCK": [[] for _ in order]}
    for number, entry in enumerate(document["annotations"]):
        truth = np.reshape(entry["keypoints"], (15, 3)) - [1, 1, 0]  # MATLAB counts from 1
        x, y = max(entry["bbox"][0] - 1, 0), max(entry["bbox"][1] - 1, 0)
        width = min(319, x + entry["bbox"][2]) - x
        height = min(239, y + entry["bbox"][3]) - y
        guess = np.array(found[entry["image_id"], number])
        shoulder, hip = order.index("left_shoulder"), order.index("right_hip")
        torso = np.hypot(*(truth[shoulder, :2] - truth[hip, :2]))
        if torso < 1:
            torso = np.hypot(*(guess[shoulder, :2] - guess[hip, :2]))
        for suffix, size in (("", max(width, height)), (" tPCK", torso)):
            for index in range(15):
                if truth[index, 2] > 0:
                    distance = np.hypot(*(truth[index, :2] - guess[index, :2])) / size
                    hits[suffix][index].append(bool(distance < 0.2))
    columns = {}
    for suffix, of_keypoints in hits.items():
        share = [float(np.mean(one)) for one in of_keypoints]
        columns["Head" + suffix] = share[order.index("head")]
        for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
            sides = [share[order.index(f"{side}_{part}")] for side in ("left", "right")]
            columns[part.capitalize() + suffix] = sum(sides) / 2
        columns["Mean" + suffix] = float(np.mean(share))
    return columns


def jhmdb_results(made: Miniature) -> list[dict[str, Any]]:
    """The results, with the boxes of the annotations, counted from 0, that they were predicted in."""
    people = convert_jhmdb(made.annotations, "").document["annotations"]
    pairs = zip(people, made.results, strict=True)
    return [entry | {"box": [round(value, 3) for value in person["bbox"]]} for person, entry in pairs]


def test_pck_of_jhmdb_equals_a_plain_computation(tmp_path: Path) -> None:
    made = MINIATURES["jhmdb"]()
    results = jhmdb_results(made)
    scores = rsn.evaluate(results[::-1], write(made.annotations, tmp_path), dataset="jhmdb").metrics
    assert isinstance(scores, PckMetrics)
    guesses = {
        (entry["image_id"], number): np.reshape(entry["keypoints"], (15, 3)).tolist()
        for number, entry in enumerate(results)
    }
    expected = plain_pck(made.annotations, guesses)
    assert 0.1 < expected["Mean"] < 1
    assert expected["Mean"] != expected["Mean tPCK"]
    assert scores.as_dict() == pytest.approx(expected, abs=1e-9)
    assert scores.headline == ("pck", scores.mean)
    header, *rows = scores.table().splitlines()
    assert header.split() == ["%", "Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Mean"]
    assert [row.split()[0] for row in rows] == ["PCK", "tPCK"]


def test_exact_results_of_jhmdb_give_all_keypoints(tmp_path: Path) -> None:
    made = MINIATURES["jhmdb"]()
    people = convert_jhmdb(made.annotations, "").document["annotations"]
    exact = [
        entry | {"keypoints": person["keypoints"]} for person, entry in zip(people, jhmdb_results(made), strict=True)
    ]
    assert rsn.evaluate(exact, write(made.annotations, tmp_path), dataset="jhmdb").metrics.as_dict()["Mean"] == 1
    with pytest.warns(rsn.errors.RsnWarning, match="1 of 43 people have no result"):
        partly = rsn.evaluate(exact[1:], write(made.annotations, tmp_path), dataset="jhmdb")
    assert partly.metrics.as_dict()["Mean"] < 1


def test_torso_metrics_need_shoulder_and_hip(tmp_path: Path) -> None:
    made = MINIATURES["jhmdb"]()
    path = write(made.annotations, tmp_path)
    data = BENCHMARKS["jhmdb"].read(path, None, Options(), None)
    knees = data.with_common_keypoints(Skeleton.from_names("knees", ["left_knee", "right_knee", "tail"]))
    results = [
        entry | {"keypoints": np.reshape(entry["keypoints"], (15, 3))[[9, 10]].ravel().tolist()}
        for entry in jhmdb_results(made)
    ]
    scores = knees.evaluate(results).metrics.as_dict()
    assert scores["Knee"] == scores["Mean"] == pytest.approx(0.702381, abs=1e-6)
    assert scores["Head"] == scores["Mean tPCK"] == -1


@pytest.mark.filterwarnings("ignore::rsn.errors.RsnWarning")
def test_wholebody_results_may_have_all_keypoints_in_one_list(tmp_path: Path) -> None:
    made = MINIATURES["wholebody"]()
    joined = [
        {key: entry[key] for key in ("image_id", "category_id", "score")}
        | {"keypoints": [value for field in WHOLEBODY_FIELDS for value in entry[field]]}
        for entry in made.results
    ]
    expected = evaluate(made, "wholebody", tmp_path)
    found = evaluate(Miniature(made.annotations, joined), "wholebody", tmp_path)
    assert (found.metrics, found.groups) == (expected.metrics, expected.groups)


@pytest.mark.filterwarnings("ignore::rsn.errors.RsnWarning")
def test_aic_in_coco_form_gives_the_same_metrics(tmp_path: Path) -> None:
    made = MINIATURES["aic"]()
    expected = evaluate(made, "aic", tmp_path)
    document = rsn.evaluation.BENCHMARKS["aic"].convert(made.annotations, "").document  # type: ignore[attr-defined]
    del document["annotations"][0]["area"]
    document["annotations"][1]["area"] = 99.0  # the evaluator takes the box
    document["categories"][0]["keypoints"][-2] = "top_of_head"  # spelled differently
    assert evaluate(Miniature(document, made.results), "aic", tmp_path).metrics == expected.metrics


@pytest.mark.parametrize("skeleton", [AIC_14, CROWDPOSE_14, JHMDB_15, WHOLEBODY_133], ids=lambda one: one.name)
def test_sides_of_benchmark_skeletons_are_paired(skeleton: Skeleton) -> None:
    assert not skeleton.unpaired
    assert skeleton.sigmas is not None
    for left, right in skeleton.flip_pairs:
        names = skeleton.keypoint_names[left], skeleton.keypoint_names[right]
        assert names[0].replace("left", "right") == names[1] or all(name.startswith("face") for name in names)
        assert (
            skeleton.sigmas[left] == skeleton.sigmas[right] or "face" in names[0] or skeleton in (AIC_14, WHOLEBODY_133)
        )
    assert len(WHOLEBODY_133) == 133
    assert len(WHOLEBODY_133.flip_pairs) == 8 + 3 + 29 + 21


@pytest.mark.parametrize(
    ("name", "expected"),
    [("crowdpos", "did you mean crowdpose"), ("COCO", "there is no dataset named 'COCO'"), ("x" * 200, "known: aic")],
)
def test_unknown_dataset_is_answered_with_similar_names(name: str, expected: str) -> None:
    with pytest.raises(UnknownNameError, match=expected):
        find_benchmark(name)


def without(field: str, where: str) -> Any:
    def change(document: Any) -> None:
        del document[where][3][field]

    return change


@pytest.mark.filterwarnings("ignore::rsn.errors.RsnWarning")
@pytest.mark.parametrize(
    ("made_for", "dataset", "change", "expected"),
    [
        ("coco", "crowdpose", None, "expected the 14 keypoints of crowdpose_14 .* got 17 "),
        ("crowdpose", "humanart", None, "expected the 17 keypoints of coco_17 .* got 14 "),
        ("crowdpose", "aic", None, "expected the 14 keypoints of aic_14"),
        ("crowdpose", "coco", None, "no results to evaluate"),
        ("coco", "wholebody", None, "expected foot_kpts of 18 numbers in every entry"),
        ("coco", "jhmdb", None, "expected the 15 keypoints of jhmdb_15"),
        ("aic", "coco", None, "not a COCO keypoints file"),
        ("aic", "crowdpose", None, "not a COCO keypoints file"),
        ("aic", "jhmdb", None, "not a COCO keypoints file"),
        ("coco", "mpii", None, "not a list of MPII people"),
        ("ochuman_original", "coco", None, "not a COCO keypoints file"),
        ("crowdpose", "crowdpose", without("crowdIndex", "images"), "expected a crowdIndex for every image, got None"),
        (
            "wholebody",
            "wholebody",
            without("face_kpts", "annotations"),
            "expected face_kpts of 204 numbers .* got none",
        ),
        ("ochuman_original", "ochuman", lambda document: document["images"][0].pop("image_id"), "OCHuman's file"),
        ("aic", "aic", lambda document: document[0].pop("human_annotations"), "AI Challenger's list"),
        ("aic", "aic", lambda document: document[-1]["keypoint_annotations"]["human1"].pop(), "AI Challenger's list"),
        ("humanart", "humanart", lambda document: document.pop("annotations"), "not a COCO keypoints file"),
    ],
)
def test_files_of_another_dataset_are_rejected_in_a_sentence(
    made_for: str, dataset: str, change: Any, expected: str, tmp_path: Path
) -> None:
    made = MINIATURES[made_for]()
    document = copy.deepcopy(made.annotations)
    if change is not None:
        change(document)
    if (made_for, dataset) == ("crowdpose", "coco"):
        made = Miniature(document, MINIATURES["coco"]().results)
    with pytest.raises(AnnotationError, match=expected) as caught:
        evaluate(Miniature(document, made.results), dataset, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::rsn.errors.RsnWarning")
@pytest.mark.parametrize("dataset", [name for name in BENCHMARKS if name not in ("mpii", "coco", "jhmdb")])
def test_results_with_another_number_of_keypoints_are_rejected(dataset: str, tmp_path: Path) -> None:
    made = MINIATURES[dataset]()
    image = made.results[0]["image_id"]
    results = [{"image_id": image, "category_id": 1, "score": 1.0, "keypoints": [5.0, 6.0, 1.0] * 20}]
    with pytest.raises(AnnotationError, match="60 keypoint numbers"):
        evaluate(Miniature(made.annotations, results), dataset, tmp_path)


@pytest.mark.filterwarnings("ignore::rsn.errors.RsnWarning")
def test_incomplete_wholebody_results_are_rejected(tmp_path: Path) -> None:
    made = MINIATURES["wholebody"]()
    del made.results[5]["face_kpts"]
    with pytest.raises(AnnotationError, match="Invalid the results: expected face_kpts"):
        evaluate(made, "wholebody", tmp_path)


@pytest.mark.parametrize(
    ("dataset", "options", "expected"),
    [
        ("crowdpose", {"skeleton": AIC_14}, "CrowdPose's skeleton is known"),
        ("crowdpose", {"head_sizes": Path("gt.mat")}, "--head-sizes belongs to MPII"),
        ("jhmdb", {"head_sizes": Path("gt.mat")}, "--head-sizes belongs to MPII"),
        ("jhmdb", {"boxes": "boxes.json"}, "PCK takes one prediction per person, in the annotated box"),
        ("jhmdb", {"parts": True}, "PCK takes one prediction per person"),
        ("wholebody", {"parts": True}, "leave out --parts"),
        ("mpii", {"common_keypoints": True}, "needs all keypoints of MPII"),
        ("crowdpose", {"common_keypoints": True}, "results have the keypoints of the dataset"),
    ],
)
def test_options_without_effect_are_rejected(dataset: str, options: Any, expected: str, tmp_path: Path) -> None:
    with pytest.raises(RsnError, match=expected):
        rsn.evaluate([], tmp_path / "none.json", dataset=dataset, **options)
