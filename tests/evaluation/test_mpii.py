"""PCKh equals the reference, and the submission file has the structure of MPII's release."""

import json
import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("scipy")
import scipy.io

from command import rsn
from mpii_on_disk import write_release
from rsn.codecs import MegviiCodec
from rsn.data.annotations import PersonAnnotation, PoseDataset
from rsn.data.mpii import read_mpii
from rsn.errors import AnnotationError, RsnError, RsnWarning
from rsn.evaluation.matching import match_results
from rsn.evaluation.mpii import PckhMetrics, check_head_sizes, evaluate_pckh, pckh
from rsn.evaluation.mpii_submission import SinglePersonTest, write_mpii_submission
from rsn.evaluation.prediction import labeled_boxes, predict_poses
from rsn.inference.estimator import PoseEstimator
from rsn.io.images import read_image
from rsn.results import Person
from rsn.skeletons import MPII_16
from rsn.weights.loading import save_weights
from rsn.weights.metadata import ModelMetadata
from rsn.weights.transfer import create_model

HEAD = MPII_16.keypoint_names.index("head_top")
LEFT_KNEE, RIGHT_KNEE = (MPII_16.keypoint_names.index(f"{side}_knee") for side in ("left", "right"))
PELVIS = MPII_16.keypoint_names.index("pelvis")


@pytest.fixture(scope="module")
def mat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release(tmp_path_factory.mktemp("mpii"))


@pytest.fixture(scope="module")
def mpii_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network with MPII's keypoints."""
    path = tmp_path_factory.mktemp("weights") / "mpii.safetensors"
    metadata = ModelMetadata(
        "res18",
        skeleton=MPII_16,
        input_size=(64, 64),
        bbox_padding=(1.25, 1.25),
        codec=MegviiCodec(blur_kernel_size=9),
    )
    save_weights(path, create_model("res18", num_keypoints=16), metadata, half=True)
    return path


@pytest.mark.parametrize("kind", ["ours", "example"])
def test_pckh_equals_reference(oracles: Path, kind: str) -> None:
    given = np.load(oracles / "pckh.npz")
    expected = json.loads((oracles / "pckh.json").read_text())[f"valid-{kind}"]
    arrays = (given[f"preds_{kind}"], given["part"], given["present"], given["normalize"])
    metrics = pckh(*arrays).as_dict()
    true = metrics.pop("Mean@0.1")
    assert metrics.pop("Mean@0.11") * 100 == pytest.approx(expected.pop("Mean@0.1"), abs=1e-9)
    assert {name: 100 * figure for name, figure in metrics.items()} == pytest.approx(expected, abs=1e-9)
    within = np.linalg.norm(arrays[0] - arrays[1], axis=2) <= 0.1 * arrays[3][:, None]
    counted = given["present"] & ~np.isin(np.arange(16), (6, 7))
    assert true == pytest.approx(within[counted].mean(), abs=1e-12)


def some_people(count: int = 4) -> tuple[Any, ...]:
    labeled = np.random.default_rng(0).uniform(0, 100, (count, 16, 2))
    return labeled.copy(), labeled, np.ones((count, 16), bool), np.full(count, 10.0)


def test_distance_of_half_head_size_is_a_hit() -> None:
    found, labeled, marked, sizes = some_people()
    labeled = np.round(labeled)
    found = np.add(labeled, (0, 5.0))
    assert pckh(found, labeled, marked, sizes).mean == 1
    found[..., 1] += 1e-3
    assert pckh(found, labeled, marked, sizes).mean == 0


def test_columns_average_left_and_right() -> None:
    found, labeled, marked, sizes = some_people()
    marked[1:, LEFT_KNEE] = False
    found[0, LEFT_KNEE] += 50
    found[:2, RIGHT_KNEE] += 50
    scores = pckh(found, labeled, marked, sizes)
    assert scores.knee == pytest.approx((0 / 1 + 2 / 4) / 2)
    assert scores.mean == pytest.approx(1 - 3 / (14 * 4 - 3))
    assert scores.head == scores.ankle == 1


def test_pelvis_and_absent_keypoints_do_not_count() -> None:
    found, labeled, marked, sizes = some_people()
    found[:, PELVIS] += 99
    marked[:, HEAD] = False
    labeled[:, HEAD] = np.nan
    scores = pckh(found, labeled, marked, sizes)
    assert (scores.mean, scores.head) == (1, -1)
    assert " -" in scores.table()


def test_people_without_keypoints_need_no_head() -> None:
    found, labeled, marked, sizes = some_people()
    marked[2], sizes[2] = False, np.nan
    assert pckh(found, labeled, marked, sizes).mean == 1


def test_table() -> None:
    scores = PckhMetrics(0.967, 0.967, 0.923, 0.882, -1, 0.89, 0.853, 0.916, 0.4, 0.5)
    titles = ["Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Mean", "Mean@0.1", "Mean@0.11"]
    assert [line.split() for line in scores.table().splitlines()] == [
        ["%", *titles],
        ["PCKh", "96.7", "96.7", "92.3", "88.2", "-", "89.0", "85.3", "91.6", "40.0", "50.0"],
    ]
    assert list(scores.as_dict()) == titles


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (0, np.zeros((4, 17, 2)), r"got \(4, 17, 2\)"),
        (0, np.full((4, 16, 2), np.nan), "not a finite number"),
        (1, np.full((4, 16, 2), np.inf), "not a finite number"),
        (2, np.zeros((4, 16), bool), "no person with labeled keypoints"),
        (3, [10, 0, 10, 10], "1 of 4 people have no head size"),
        (3, [10, np.nan, np.nan, 10], "2 of 4 people have no head size"),
        (3, [10, 10], "of 2 people, got"),
    ],
)
def test_invalid_arrays_are_rejected(place: int, value: Any, says: str) -> None:
    arrays = list(some_people())
    arrays[place] = value
    with pytest.raises(AnnotationError, match=says):
        pckh(*arrays)


def found_at(people: Iterable[PersonAnnotation], shift: float) -> list[dict[str, Any]]:
    return [
        Person.from_keypoints(person.box, np.add(person.keypoints, (shift, 0)), np.ones(16)).to_coco(
            person.image.id, raw=True
        )
        for person in people
    ]


def test_person_without_result_counts_as_missed_with_warning(mat: Path) -> None:
    people = read_mpii(mat, mat.parent / "images").filter_valid().people
    with pytest.warns(RsnWarning, match="1 of 4 people have no result and count as missed"):
        assert 0 < evaluate_pckh(people, found_at(people, 1)[1:]).mean < 1


def test_results_are_matched_by_image_and_box(mat: Path) -> None:
    people = read_mpii(mat, mat.parent / "images").filter_valid().people
    results = found_at(people, 1)
    assert evaluate_pckh(people, reversed(results)).mean == 1
    assert evaluate_pckh(people, found_at(people, 17)).mean < 1
    assert evaluate_pckh(people, json.loads(json.dumps(results))).mean == 1
    with pytest.raises(AnnotationError, match=r"4 of 4 people have no result, the first in image 000000001\.jpg"):
        evaluate_pckh(people, [])
    with pytest.raises(AnnotationError, match="16 keypoints"):
        evaluate_pckh(people, [results[0] | {"keypoints": [1] * 51}])
    with pytest.raises(AnnotationError, match="'box'"):
        evaluate_pckh(people, [{"image_id": 1, "keypoints": [1] * 48}])


def test_people_without_head_size_are_rejected(mat: Path) -> None:
    people = read_mpii(mat, mat.parent / "images").filter_valid().people
    headless = [replace(people[0], head_size=None), *people[1:]]
    with pytest.raises(AnnotationError, match="1 of 4 people have no head size"):
        check_head_sizes(headless)
    with pytest.raises(AnnotationError, match="1 of 4 people have no head size"):
        evaluate_pckh(headless, found_at(headless, 0))
    with pytest.raises(AnnotationError, match="no person"):
        check_head_sizes([])


def test_predictions_are_matched_to_their_boxes(mat: Path, mpii_weights: Path) -> None:
    people = read_mpii(mat, mat.parent / "images").people
    mixed = [people[2], people[0], people[3], people[1]]  # two people of one image, not adjacent
    estimator = PoseEstimator(mpii_weights)
    boxes = labeled_boxes(PoseDataset(MPII_16, tuple(mixed)))
    found = match_results(mixed, chain.from_iterable(predict_poses(estimator, boxes)), keypoints=len(MPII_16))
    for person, keypoints in zip(mixed, found, strict=True):
        (alone,) = estimator(read_image(person.image.path), [person.box], box_format="xywh")
        np.testing.assert_allclose(keypoints, alone.keypoints, atol=0.01)


def keypoints_in(path: Path) -> dict[tuple[int, int], np.ndarray]:
    """Keypoints in a submission by image and person, found by their id as in MATLAB's evaluation."""
    found = {}
    for number, image in enumerate(scipy.io.loadmat(path)["pred"][0]):
        for rect, person in enumerate(image["annorect"].reshape(-1)):
            if person["annopoints"].size:
                points = person["annopoints"][0, 0]["point"][0]
                rows = sorted((p["id"].item(), p["x"].item(), p["y"].item()) for p in points)
                found[number, rect] = np.array(rows)[:, 1:]
    return found


def test_submission_has_structure_of_release(mat: Path, tmp_path: Path) -> None:
    test = SinglePersonTest.read(mat, mat.parent / "images")
    assert set(test.indices.values()) == {(0, 1), (2, 0)}
    keypoints = np.arange(32.0).reshape(16, 2)
    found = [
        Person.from_keypoints(person.box, keypoints + image, np.ones(16)).to_coco(person.image.id, raw=True)
        for person, (image, _) in test.indices.items()
    ]
    path = tmp_path / "pred_keypoints_mpii.mat"
    write_mpii_submission(path, test, found)
    written = scipy.io.loadmat(path)["pred"]
    assert written.shape == (1, 3)  # all test images, also those without people
    assert written["image"][0, 2]["name"][0, 0].item() == "000000007.jpg"
    people = written["annorect"][0, 0]
    assert people.shape == (1, 3)  # people keep their index ...
    assert [rect["objpos"].size for rect in people[0]] == [
        1,
        1,
        0,
    ]  # ... and their objpos, by which they count
    assert people["objpos"][0, 1]["y"][0, 0].item() == 100
    assert [rect["annopoints"].size for rect in people[0]] == [0, 1, 0]
    points = people["annopoints"][0, 1]["point"][0, 0]
    assert points.shape == (1, 16)
    assert [point["id"].item() for point in points[0]] == list(range(16))
    assert [(point["x"].item(), point["y"].item()) for point in points[0]] == [(x + 1, y + 1) for x, y in keypoints]
    assert written["annorect"][0, 1].size == 0
    np.testing.assert_array_equal(keypoints_in(path)[2, 0], keypoints + 3)


def test_incomplete_submission_is_not_written(mat: Path, tmp_path: Path) -> None:
    test = SinglePersonTest.read(mat, mat.parent / "images")
    path = tmp_path / "pred.mat"
    found = [
        Person.from_keypoints(person.box, np.ones((16, 2)), np.ones(16)).to_coco(person.image.id, raw=True)
        for person in test.indices
    ]
    with pytest.raises(AnnotationError, match="1 of 2 people have no result"):
        write_mpii_submission(path, test, found[:1])
    with pytest.raises(AnnotationError, match="not a finite number"):
        write_mpii_submission(path, test, [found[0], found[1] | {"keypoints": [math.nan] * 48}])
    with pytest.raises(RsnError, match="cannot write"):
        write_mpii_submission(tmp_path / "none" / "pred.mat", test, found)
    assert not list(tmp_path.iterdir())


def test_submission_rejects_box_outside_image(tmp_path: Path) -> None:
    release = write_release(tmp_path)
    cv2.imwrite(str(tmp_path / "images" / "000000007.jpg"), np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(
        AnnotationError, match=r"1 of 2 people lie outside their image, the first in 000000007\.jpg; take"
    ):
        SinglePersonTest.read(release, tmp_path / "images")


def evaluate(weights: object, *arguments: object) -> Any:
    return rsn("evaluate", weights, "--dataset", "mpii", "--device", "cpu", *arguments)


def test_evaluate_command(mat: Path, mpii_weights: Path, tmp_path: Path) -> None:
    given = ("--annotations", mat, "--images", mat.parent / "images")
    done = evaluate(mpii_weights, *given, "--flip", "--json", tmp_path / "a" / "out.json")
    assert done.returncode == 0, done.stderr
    assert "1 no keypoint marked" in done.stderr
    assert done.stdout.split()[:2] == ["%", "Head"]
    document = json.loads((tmp_path / "a" / "out.json").read_text())
    assert list(document["metrics"])[-2:] == ["Mean@0.1", "Mean@0.11"]
    assert 0 <= document["metrics"]["Mean"] <= 1


def test_evaluate_command_on_a_list(mpii_weights: Path, tmp_path: Path) -> None:
    keypoints = [[10.0 + i, 20.0 + i] for i in range(16)]
    entry = {"image": "a.png", "center": [40, 40], "scale": 0.3, "joints": keypoints, "joints_vis": [1] * 16}
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((80, 80, 3), np.uint8))
    (tmp_path / "valid.json").write_text(json.dumps([entry]))
    given = ("--annotations", tmp_path / "valid.json", "--images", tmp_path)
    without = evaluate(mpii_weights, *given)
    assert without.returncode == 1
    assert "rsn: 1 of 1 people have no head size" in without.stderr
    assert "--head-sizes" in without.stderr
    scipy.io.savemat(
        tmp_path / "gt_valid.mat",
        {
            "headboxes_src": np.array([[[1.0], [1.0]], [[31.0], [41.0]]]),
            "pos_gt_src": np.array(keypoints)[:, :, None],
            "jnt_missing": np.zeros((16, 1)),
        },
    )
    done = evaluate(mpii_weights, *given, "--head-sizes", tmp_path / "gt_valid.mat")
    assert done.returncode == 0, done.stderr
    assert "PCKh" in done.stdout


def test_submit_command(mat: Path, mpii_weights: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "pred_keypoints_mpii.mat"
    given = ("--annotations", mat, "--images", mat.parent / "images", "--device", "cpu", "--output", output)
    done = rsn("submit", "mpii-test", mpii_weights, *given)
    assert done.returncode == 0, done.stderr
    assert "2 people in 3 test images" in done.stderr
    assert set(keypoints_in(output)) == {(0, 1), (2, 0)}


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--dataset", "mpii", "--nms", "oks"), "leave out --boxes, --parts and --nms"),
        (("--dataset", "mpii", "--boxes", "boxes.json"), "leave out --boxes, --parts and --nms"),
        (("--head-sizes", "gt_valid.mat"), "add --dataset mpii"),
    ],
)
def test_conflicting_options_are_rejected(mpii_weights: Path, option: tuple[str, ...], said: str) -> None:
    done = rsn("evaluate", mpii_weights, "--annotations", "a", "--images", "b", *option)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
