"""MPII's release and JSON lists: what is read, and what is rejected."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("scipy")
import scipy.io

from mpii_on_disk import EMPTY, keypoint, release, struct, write_release
from rsn.data.annotations import PoseDataset
from rsn.data.mpii import NO_POSITION, from_mpii, read_mpii, square_box, to_mpii, with_ground_truth
from rsn.data.reading import read_dataset
from rsn.errors import AnnotationError
from rsn.geometry import Crop
from rsn.skeletons import MPII_16

LISTED = {
    "image": "a.png",
    "center": [60.0, 50.0],
    "scale": 0.25,
    "joints": [[10.0 + i, 20.0] for i in range(16)],
    "joints_vis": [1] * 15 + [0],
}


@pytest.fixture(scope="module")
def mat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release(tmp_path_factory.mktemp("mpii"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((100, 120, 3), np.uint8))
    return tmp_path


def read_list(folder: Path, *entries: Any) -> PoseDataset:
    (folder / "valid.json").write_text(json.dumps(entries))
    return read_mpii(folder / "valid.json", folder)


def reference_matrix(center: list[float], scale: float, side: int) -> np.ndarray:
    """The matrix of the reference: from the center, a point above it, and a third at a right angle."""
    shifted = np.add(center, (0, 15 * scale)) - 1
    width = scale * 1.25 * 200
    above = shifted - (0, width / 2)
    source = np.float32([shifted, above, np.subtract(above, (width / 2, 0))])
    half = side / 2
    target = np.float32([(half, half), (half, 0), (0, 0)])
    return cv2.getAffineTransform(source, target)


def test_read_mpii_reads_the_release(mat: Path) -> None:
    people = read_mpii(mat, mat.parent / "images")
    assert people.skeleton is MPII_16
    assert [person.image.id for person in people.people] == [
        "000000001.jpg", "000000001.jpg", "000000002.jpg", "000000003.jpg", "000000004.jpg",
    ]  # fmt: skip
    assert people.skipped == {NO_POSITION: 1}
    first, second, lone, without_points, no_visibility = people.people
    assert first.visibility.tolist() == [2, 2, 2, 1, 1] + [2] * 11  # 3 says "0", 4 says uint8 0
    np.testing.assert_allclose(first.keypoints, [np.subtract(keypoint(i), 1) for i in range(16)])
    assert np.flatnonzero(second.visibility).tolist() == [0, 8, 9]
    np.testing.assert_allclose(second.keypoints[9], np.subtract(keypoint(9, -50), 1))
    assert np.flatnonzero(lone.visibility).tolist() == [7]
    assert not without_points.visibility.any()
    assert no_visibility.visibility[[2, 3]].tolist() == [2, 2]
    assert first.head_size == pytest.approx(0.6 * math.hypot(30, 40))


def test_filter_valid_counts_people_without_keypoints(mat: Path) -> None:
    people = read_mpii(mat, mat.parent / "images").filter_valid()
    assert len(people) == 4
    assert people.skipped == {NO_POSITION: 1, "no keypoint marked": 1}


def test_test_split_has_boxes_but_no_keypoints(mat: Path) -> None:
    people = read_mpii(mat, mat.parent / "images", split="test")
    assert [person.image.id for person in people.people] == ["000000005.jpg"] * 2 + ["000000007.jpg"]
    assert not any(person.visibility.any() for person in people.people)
    assert all(person.head_size is None for person in people.people)
    np.testing.assert_allclose(people.people[1].box, [19, 48, 120, 120])


def test_read_mpii_reads_a_release_of_one_image(tmp_path: Path) -> None:
    content = release()
    one = {name: content[name][0, 0] for name in ("annolist", "img_train", "single_person")}
    one = {
        "annolist": one["annolist"][:, 1:2],
        "img_train": one["img_train"][:, 1:2],
        "single_person": one["single_person"][1:2],
    }
    scipy.io.savemat(tmp_path / "one.mat", {"RELEASE": struct(**one)})
    cv2.imwrite(str(tmp_path / "000000002.jpg"), np.zeros((9, 9, 3), np.uint8))
    assert len(read_mpii(tmp_path / "one.mat", tmp_path)) == 1


def test_read_mpii_converts_a_list_to_pixels_from_0(images: Path) -> None:
    (person,) = read_list(images, LISTED | {"headbox": [1, 2, 4, 6]}).people
    assert person.keypoints[0].tolist() == [9, 19]
    assert person.visibility.tolist() == [2] * 15 + [0]
    assert person.head_size == pytest.approx(3)
    np.testing.assert_allclose(person.box, [34, 27.75, 50, 50])


def test_list_of_test_images_has_no_keypoints(images: Path) -> None:
    (person,) = read_list(images, {name: LISTED[name] for name in ("image", "center", "scale")}).people
    assert not person.visibility.any()


def test_people_without_center_are_skipped_and_counted(images: Path) -> None:
    people = read_list(images, LISTED, LISTED | {"center": [-1, -1]})
    assert len(people) == 1
    assert people.skipped == {NO_POSITION: 1}


@pytest.mark.parametrize("center", [[966.0, 340.0], [316.0, 220.5]])
@pytest.mark.parametrize("scale", [4.718488, 1.0])
def test_square_box_gives_the_crop_of_the_reference(center: list[float], scale: float) -> None:
    crop = Crop.from_box(square_box(center, scale), (256, 256), (1.25, 1.25))
    np.testing.assert_allclose(crop.matrix, reference_matrix(center, scale, 256), atol=1e-3)


def test_from_mpii_inverts_to_mpii() -> None:
    assert to_mpii(from_mpii([[3.5, 4.0]])).tolist() == [[3.5, 4.0]]
    assert from_mpii([1, 1]).tolist() == [0, 0]


def test_shared_list_is_read(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "mpii"
    people = read_dataset(folder / "test_mpii.json", folder / "images")
    entries = json.loads((folder / "test_mpii.json").read_text())
    assert len(people) == 5
    for person, entry in zip(people.people, entries, strict=True):
        crop = Crop.from_box(person.box, (256, 256), (1.25, 1.25))
        expected = reference_matrix(entry["center"], entry["scale"], 256)
        np.testing.assert_allclose(crop.matrix, expected, atol=1e-3)
        marked = np.array(entry["joints_vis"], bool)
        np.testing.assert_allclose(person.keypoints[marked], np.array(entry["joints"])[marked] - 1, atol=1e-4)
        assert (person.visibility == 2 * marked).all()


def test_read_dataset_recognizes_the_format(mat: Path, images: Path, people_json: Path) -> None:
    assert len(read_dataset(mat, mat.parent / "images")) == 5
    read_list(images, LISTED)
    assert len(read_dataset(images / "valid.json", images)) == 1
    assert len(read_dataset(people_json, people_json.parent / "images")) == 8
    with pytest.raises(AnnotationError, match=r"head sizes .* are only for MPII lists"):
        read_dataset(people_json, people_json.parent / "images", head_sizes=mat)
    with pytest.raises(AnnotationError, match=r"none\.json: there is no such file"):
        read_dataset(images / "none.json", images)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"joints": [[1, 1]] * 17, "joints_vis": [1] * 17}, r"person 2 has joints of shape \(17, 2\)"),
        ({"joints_vis": [1] * 15}, "15 joints_vis"),
        ({"joints": [[float("nan"), 1]] * 16}, "person 2 has a number that is not finite"),
        ({"scale": float("inf")}, "person 2 has a number that is not finite"),
        ({"center": [1, 2, 3]}, "of another length"),
        ({"headbox": [1, 2, 3]}, "of another length"),
        ({"joints": [["a", "b"]] * 16}, "joints that are numbers"),
        ({"image": None}, "not an entry with image"),
        ({"image": "gone.png"}, r"gone\.png: named by the annotations"),
    ],
)
def test_read_mpii_rejects_invalid_list_entries(images: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises(AnnotationError, match=says):
        read_list(images, LISTED, LISTED | change)


@pytest.mark.parametrize("content", ["[]", "{}", "[1]", '["a.png"]', "[{}]", "[", None])
def test_read_mpii_rejects_other_json(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "other.json").write_text(content)
    with pytest.raises(AnnotationError, match=r"other\.json"):
        read_mpii(tmp_path / "other.json", tmp_path)


def _nan(content: np.ndarray) -> None:
    content["annolist"][0, 0]["annorect"][0, 1]["scale"][0, 0] = math.nan


def _id(content: np.ndarray) -> None:
    content["annolist"][0, 0]["annorect"][0, 1]["annopoints"][0, 0]["point"][0, 0]["id"][0, 0] = 16.0


def _point(content: np.ndarray) -> None:
    content["annolist"][0, 0]["annorect"][0, 1]["annopoints"][0, 0]["point"][0, 0]["x"][0, 0] = EMPTY


def _shorter(content: np.ndarray) -> None:
    content["img_train"][0, 0] = content["img_train"][0, 0][:, :3]


def _nameless(content: np.ndarray) -> None:
    content["annolist"][0, 0]["image"][0, 2] = EMPTY


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_nan, r"000000002\.jpg, person 1 has a number that is not finite"),
        (_id, r"000000002\.jpg, person 1 has a point without x, y and an id from 0 to 15"),
        (_point, r"000000002\.jpg, person 1 has a point without x"),
        (_shorter, "not MPII's release"),
        (_nameless, "not MPII's release"),
    ],
)
def test_read_mpii_rejects_damaged_releases(
    mat: Path, tmp_path: Path, damage: Callable[[np.ndarray], None], says: str
) -> None:
    content = release()
    damage(content)
    scipy.io.savemat(tmp_path / "other.mat", {"RELEASE": content})
    with pytest.raises(AnnotationError, match=says):
        read_mpii(tmp_path / "other.mat", mat.parent / "images")


@pytest.mark.parametrize("variables", [{"other": 1}, {"RELEASE": 3}, {"RELEASE": {"annolist": 1}}, {"RELEASE": EMPTY}])
def test_read_mpii_rejects_other_matlab_files(tmp_path: Path, variables: dict[str, Any]) -> None:
    scipy.io.savemat(tmp_path / "other.mat", variables)
    with pytest.raises(AnnotationError, match=r"other\.mat: a MATLAB file, but not MPII's release"):
        read_mpii(tmp_path / "other.mat", tmp_path)


def test_read_mpii_rejects_truncated_and_corrupt_files(mat: Path, tmp_path: Path) -> None:
    whole = mat.read_bytes()
    path = tmp_path / "other.mat"
    random = np.random.default_rng(0)
    for length in (0, 1, 100, 128, 130, 140, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(AnnotationError, match=r"other\.mat"):
            read_mpii(path, tmp_path)
    for _ in range(200):  # scipy's reader alone would crash on some of these
        damaged = bytearray(whole)
        damaged[random.integers(136, len(whole))] ^= int(random.integers(1, 256))
        path.write_bytes(damaged)
        with pytest.raises(AnnotationError, match=r"other\.mat: not a MATLAB file, or damaged"):
            read_mpii(path, tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"not matlab at all" * 100, "not a MATLAB file, or damaged"),
        (b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM" + bytes(512), "version 7.3"),
        (None, "cannot be read"),
    ],
)
def test_read_mat_rejects_other_files(tmp_path: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / "other.mat").write_bytes(content)
    with pytest.raises(AnnotationError, match=says):
        read_mpii(tmp_path / "other.mat", tmp_path)


def test_read_mpii_names_missing_images(mat: Path, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"000000001\.jpg: named by .*4 of 4 images are missing"):
        read_mpii(mat, tmp_path)
    with pytest.raises(AnnotationError, match="no such folder"):
        read_mpii(mat, tmp_path / "none")


def ground_truth(people: int, **changes: Any) -> dict[str, Any]:
    """Write a gt_valid.mat with `people` copies of LISTED, moved by a fraction of a pixel."""
    keypoints = np.repeat(np.array(LISTED["joints"])[:, :, None], people, 2) + 0.4
    missing = np.zeros((16, people))
    missing[3] = 1
    boxes = np.repeat(np.array([[10.0, 10.0], [13.0, 14.0]])[:, :, None], people, 2)
    return {"headboxes_src": boxes, "pos_gt_src": keypoints, "jnt_missing": missing} | changes


@pytest.mark.parametrize("people", [1, 3])
def test_with_ground_truth_adds_keypoints_and_head_sizes(images: Path, people: int) -> None:
    scipy.io.savemat(images / "gt_valid.mat", ground_truth(people))
    measured = with_ground_truth(read_list(images, *[LISTED] * people), images / "gt_valid.mat")
    assert len(measured) == people
    for person in measured.people:
        assert person.head_size == pytest.approx(3)
        np.testing.assert_allclose(person.keypoints[15], (24.4, 19.4), atol=1e-5)
        assert person.visibility.tolist() == [2, 2, 2, 0] + [2] * 12


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (ground_truth(2), "head boxes of 2 people, the annotations have 3"),
        (ground_truth(3, pos_gt_src=np.zeros((16, 2, 3))), "not those of the annotations"),
        (ground_truth(3, pos_gt_src=np.full((16, 2, 3), np.nan)), "not those of the annotations"),
        ({"preds": np.zeros(3)}, r"not a gt_valid\.mat"),
        (ground_truth(3, headboxes_src=np.zeros((7, 2, 3))), r"not a gt_valid\.mat"),
    ],
)
def test_with_ground_truth_rejects_other_people(images: Path, content: dict[str, Any], says: str) -> None:
    scipy.io.savemat(images / "gt.mat", content)
    with pytest.raises(AnnotationError, match=says):
        with_ground_truth(read_list(images, *[LISTED] * 3), images / "gt.mat")
