"""Labels of every tool become the same COCO-keypoints document, and go back."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import label_files
from command import rsn
from converted_labels import assert_same_people, convert, convert_without_images, people_of, refused
from label_files import NAMES, PEOPLE, write_images
from rsn.data.formats.labels import BoxMark, PointMark, assemble_people, order_names
from rsn.skeletons import COCO_17

Writer = Callable[[Path], Path]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / "images")


@pytest.mark.parametrize(
    "write",
    [
        label_files.coco,
        label_files.cvat_images,
        label_files.label_studio,
        label_files.via,
        lambda folder: label_files.via(folder, "json"),
        lambda folder: label_files.via(folder, "csv"),
    ],
    ids=["coco", "cvat", "label-studio", "via-project", "via-json", "via-csv"],
)
def test_convert_reads_a_file_with_its_images(write: Writer, tmp_path: Path, images: Path) -> None:
    document = convert(write(tmp_path), tmp_path / "people.json", "--images", images)
    assert_same_people(document)
    assert [image["file_name"] for image in document["images"]] == list(PEOPLE)
    assert [(image["width"], image["height"]) for image in document["images"]] == list(label_files.SIZES.values())


@pytest.mark.parametrize(
    "write",
    [label_files.yolo, label_files.roboflow_coco, label_files.labelme],
    ids=["yolo", "roboflow", "labelme"],
)
def test_convert_reads_a_folder_of_labels_and_images(write: Writer, tmp_path: Path) -> None:
    document = convert(write(tmp_path / "set"), tmp_path / "people.json")
    assert_same_people(document)
    assert any(image["file_name"].endswith("sub/a.png") for image in document["images"])


@pytest.mark.parametrize("several", [True, False])
def test_convert_reads_deeplabcut_csv(several: bool, tmp_path: Path) -> None:
    document = convert(label_files.dlc(tmp_path / "project", several=several), tmp_path / "people.json")
    assert_same_people(document, occluded=False, boxes=False, most=9 if several else 1)
    assert document["images"][0]["file_name"] == "labeled-data/clip/a.png"


@pytest.mark.parametrize(("kind", "several"), [("h5", True), ("h5", False), ("table", True)])
def test_convert_reads_deeplabcut_h5(kind: str, several: bool, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    pytest.importorskip("tables")
    source = label_files.dlc(tmp_path / "project", kind=kind, several=several)
    assert_same_people(convert(source, tmp_path / "people.json"), occluded=False, boxes=False, most=9 if several else 1)


def test_convert_reads_yolo_without_visibility_and_names(tmp_path: Path) -> None:
    source = label_files.yolo(tmp_path / "set", dims=2, names=False)
    document = convert(source / "data.yaml", tmp_path / "people.json")
    category = document["categories"][0]
    assert category["keypoints"] == ["keypoint_1", "keypoint_2", "keypoint_3"]
    assert category["flip_idx"] == [0, 2, 1]
    category["keypoints"] = NAMES
    assert_same_people(document, occluded=False)


def test_convert_reads_tracks_of_a_cvat_video(tmp_path: Path) -> None:
    document = convert_without_images(label_files.cvat_video(tmp_path), tmp_path / "people.json")
    assert [image["file_name"] for image in document["images"]] == [f"frame_{n:06d}.png" for n in range(4)]
    people = people_of(document)
    assert [len(people[f"frame_{n:06d}.png"]) for n in range(4)] == [1, 1, 0, 0]
    assert people["frame_000001.png"][0][0] == [[11, 12.5, 2], [5, 30, 1], [23, 30, 2]]


def test_convert_reads_sleap(tmp_path: Path, images: Path) -> None:
    sleap_io = pytest.importorskip("sleap_io")
    skeleton = sleap_io.Skeleton(
        list(NAMES), edges=[("nose", "left_wrist")], symmetries=[("left_wrist", "right_wrist")]
    )
    video = sleap_io.load_video([str(images / "b.png"), str(images / "c.png")])
    labeled, predicted = [[50, 10], [40, 25], [np.nan, np.nan]], [[1, 2], [3, 4], [5, 6]]
    frames = [
        sleap_io.LabeledFrame(
            video=video,
            frame_idx=0,
            instances=[
                sleap_io.Instance.from_numpy(np.array(labeled), skeleton=skeleton),
                sleap_io.PredictedInstance.from_numpy(np.array(predicted), skeleton=skeleton),
            ],
        )
    ]
    package = tmp_path / "labels.pkg.slp"
    sleap_io.Labels(frames).save(str(package), embed=True, verbose=False)
    document = convert(package, tmp_path / "people.json", "--images", images)
    assert people_of(document)["b.png"][0][0] == [[50, 10, 2], [40, 25, 2], [0, 0, 0]]
    assert document["categories"][0]["skeleton"] == [[1, 2]]


def test_convert_writes_the_frames_inside_a_sleap_package(tmp_path: Path, images: Path) -> None:
    sleap_io = pytest.importorskip("sleap_io")
    skeleton = sleap_io.Skeleton(list(NAMES))
    video = sleap_io.load_video([str(images / "b.png")])
    points = np.array([[50, 10], [40, 25], [60, 25.0]])
    frame = sleap_io.LabeledFrame(
        video=video, frame_idx=0, instances=[sleap_io.Instance.from_numpy(points, skeleton=skeleton)]
    )
    package = tmp_path / "labels.pkg.slp"
    sleap_io.Labels([frame]).save(str(package), embed=True, verbose=False)
    loaded = sleap_io.load_slp(str(package))
    loaded.videos[0].source_video = None
    loaded.save(str(tmp_path / "alone.pkg.slp"), embed=True, verbose=False)
    document = convert(tmp_path / "alone.pkg.slp", tmp_path / "people.json", "--images", images)
    assert document["images"][0]["file_name"].endswith("/000000.png")
    assert document["images"][0]["width"] == 100


@pytest.mark.parametrize("count", [18, 25])
def test_convert_reads_openpose(count: int, tmp_path: Path, images: Path) -> None:
    pose = [value for index in range(count) for value in (20 + index, 10 + index, 0.9 if index else 0.0)]
    for name, people in (("b", [{"person_id": [-1], "pose_keypoints_2d": pose}]), ("c", [])):
        path = tmp_path / f"json/{name}_keypoints.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"version": 1.3, "people": people}))
    document = convert(tmp_path / "json", tmp_path / "people.json", "--images", images)
    names = document["categories"][0]["keypoints"]
    assert names[:2] == ["nose", "neck"]
    assert names[8] == {18: "right_hip", 25: "mid_hip"}[count]
    assert names[-1] == {18: "left_ear", 25: "right_heel"}[count]
    (person,) = document["annotations"]
    assert person["keypoints"][:6] == [0, 0, 0, 21, 11, 2]
    assert person["keypoint_scores"][:2] == [0, 0.9]
    assert [image["file_name"] for image in document["images"]] == ["b.png", "c.png"]


def test_convert_reads_alphapose(tmp_path: Path, images: Path) -> None:
    keypoints = [value for index in range(17) for value in (20 + index, 10 + index, 0.5)]
    entry = {
        "image_id": "b.png",
        "category_id": 1,
        "keypoints": keypoints,
        "score": 2.5,
        "box": [15, 5, 30, 40],
    }
    source = tmp_path / "alphapose-results.json"
    source.write_text(json.dumps([entry | {"idx": 3}, entry | {"image_id": "a.png"}]))
    document = convert(source, tmp_path / "people.json", "--images", images)
    person = document["annotations"][0]
    assert document["categories"][0]["keypoints"][-1] == "right_ankle"
    assert (person["score"], person["track_id"], person["bbox"]) == (2.5, 3, [15, 5, 30, 40])
    assert person["keypoint_scores"] == [0.5] * 17
    assert [image["file_name"] for image in document["images"]] == ["b.png", "sub/a.png"]


def test_convert_reads_mpii_lists_from_one_based_pixels(tmp_path: Path, images: Path) -> None:
    joints = [[20.0 + index, 10.0 + index] for index in range(16)]
    entry = {
        "image": "b.png",
        "center": [30.0, 20.0],
        "scale": 0.15,
        "joints": joints,
        "joints_vis": [0] + [1] * 15,
    }
    (tmp_path / "train.json").write_text(json.dumps([entry]))
    document = convert(tmp_path / "train.json", tmp_path / "people.json", "--images", images)
    (person,) = document["annotations"]
    assert person["keypoints"][:6] == [0, 0, 0, 20, 10, 2]
    assert document["categories"][0]["keypoints"][9] == "head_top"
    assert person["bbox"] == [14, 6.25, 30, 30]


@pytest.mark.parametrize("to", ["coco", "cvat", "labelme", "label-studio", "yolo", "dlc"])
def test_convert_writes_what_it_reads(to: str, tmp_path: Path, images: Path) -> None:
    written = tmp_path / {"coco": "a.json", "cvat": "a.xml", "label-studio": "tasks.json"}.get(to, "written")
    done = rsn("data", "convert", label_files.coco(tmp_path), "--images", images, "--to", to, "--output", written)
    assert done.returncode == 0, done.stderr
    where = () if to in ("yolo", "dlc") else ("--images", images)
    document = convert(written, tmp_path / "back.json", *where)
    assert_same_people(document, occluded=to != "dlc", boxes=to not in ("cvat", "dlc"))
    if to in ("coco", "cvat"):
        assert document["categories"][0]["skeleton"] == [[1, 2], [1, 3]]


def test_results_become_predictions_of_label_studio(tmp_path: Path, images: Path) -> None:
    keypoints = [value for index in range(17) for value in (20 + index, 10 + index, 0.5)]
    entry = {
        "image_id": 1,
        "file_name": str(images / "b.png"),
        "category_id": 1,
        "keypoints": keypoints,
        "score": 0.4,
    }
    (tmp_path / "poses.json").write_text(json.dumps([entry | {"bbox": [15, 5, 30, 40]}]))
    arguments = ("--to", "label-studio", "--output", tmp_path / "tasks.json")
    assert rsn("data", "convert", tmp_path / "poses.json", *arguments).returncode == 0
    (task,) = json.loads((tmp_path / "tasks.json").read_text())
    assert task["annotations"] == []
    assert task["predictions"][0]["score"] == 0.4
    assert [one["type"] for one in task["predictions"][0]["result"]] == [
        "rectanglelabels",
        *["keypointlabels"] * 17,
    ]
    back = rsn("data", "convert", tmp_path / "tasks.json", "--images", images, "--output", tmp_path / "back.json")
    assert back.returncode == 1
    assert "1 tasks without labels" in back.stderr


def test_convert_scales_labels_of_images_stored_in_another_size(tmp_path: Path, images: Path) -> None:
    source = label_files.coco(tmp_path)
    document = json.loads(source.read_text())
    document["images"][0] |= {"width": 160, "height": 120}
    source.write_text(json.dumps(document))
    done = rsn("data", "convert", source, "--images", images, "--output", tmp_path / "people.json")
    assert "1 images stored in another size than they were labeled in, labels scaled" in done.stderr
    assert json.loads((tmp_path / "people.json").read_text())["annotations"][0]["keypoints"][:3] == [
        5,
        6.25,
        2,
    ]
    document["images"][0] |= {"width": 160, "height": 60}
    source.write_text(json.dumps(document))
    assert "sub/a.png was labeled with 160 x 60 pixels, but the stored image has 80 x 60" in refused(
        source, "--images", images, output="b.json"
    )


def test_skeleton_file_names_the_keypoints(tmp_path: Path) -> None:
    source = label_files.yolo(tmp_path / "set", names=False)
    (tmp_path / "skeleton.yaml").write_text("name: three\nkeypoints: [head, hand_l, hand_r]\n")
    document = convert(source, tmp_path / "people.json", "--skeleton", tmp_path / "skeleton.yaml")
    assert document["categories"][0]["keypoints"] == ["head", "hand_l", "hand_r"]


def test_output_folder_that_holds_files_is_kept(tmp_path: Path, images: Path) -> None:
    source = label_files.coco(tmp_path)
    done = rsn("data", "convert", source, "--images", images, "--to", "yolo", "--output", images)
    assert done.returncode == 1
    assert "it exists and is not empty; name another" in done.stderr


def test_convert_counts_label_files_without_an_image(tmp_path: Path) -> None:
    source = label_files.yolo(tmp_path / "set")
    (source / "images/train/b.png").unlink()
    (source / "labels/val/c.txt").unlink()
    done = rsn("data", "convert", source, "--output", tmp_path / "people.json")
    assert done.returncode == 0
    assert "1 label files without an image in train, val or test, skipped" in done.stderr
    assert "1 images without a label file, taken as images without people" in done.stderr


def test_convert_ignores_its_own_output_in_the_folder(tmp_path: Path, images: Path) -> None:
    source = tmp_path / "set"
    source.mkdir()
    label_files.cvat_images(source)
    for _ in range(2):
        assert_same_people(convert(source, source / "people.json", "--images", images))


def test_convert_reads_lists_of_images_and_paths_as_roboflow_writes_them(tmp_path: Path) -> None:
    source = label_files.yolo(tmp_path / "set")
    names = [f"./images/train/{name}\n" for name in ("sub/a.png", "b.png")]
    (source / "train.txt").write_text("".join(names))
    config = (source / "data.yaml").read_text()
    (source / "data.yaml").write_text(
        config.replace("train: images/train", "train: train.txt").replace("val: ", "val: ../")
    )
    assert_same_people(convert(source, tmp_path / "people.json"))


def test_keypoints_without_groups_belong_to_the_smallest_box_around_them(tmp_path: Path) -> None:
    source = label_files.labelme(tmp_path / "set")
    for path in source.rglob("*.json"):
        document = json.loads(path.read_text())
        for shape in document["shapes"]:
            shape["group_id"] = None
        path.write_text(json.dumps(document))
    assert_same_people(convert(source, tmp_path / "people.json"))


def test_keypoint_just_outside_its_box_belongs_to_it() -> None:
    points = [PointMark("nose", 20, 15), PointMark("left_wrist", 8, 30), PointMark("right_wrist", 95, 30)]
    one, other = assemble_people("image", points, [BoxMark((10, 10, 20, 40)), BoxMark((70, 10, 24, 40))])
    assert (list(one.points), list(other.points)) == (["nose", "left_wrist"], ["right_wrist"])


def test_order_of_names_agrees_with_every_person() -> None:
    assert order_names([["b", "d"], ["a", "c", "d"], ["a", "b", "c"]]) == ["a", "b", "c", "d"]
    assert order_names([["b", "a"], ["a", "b", "c"]]) == ["b", "a", "c"]  # no order agrees with both


def test_keypoints_of_a_known_skeleton_are_in_its_order(tmp_path: Path, images: Path) -> None:
    points = [
        {"label": name, "points": [[10 + index, 20 - index]], "shape_type": "point", "group_id": 1}
        for index, name in enumerate(reversed(COCO_17.keypoint_names))
    ]
    document = {"imagePath": "b.png", "imageWidth": 100, "imageHeight": 50, "shapes": points}
    (tmp_path / "b.json").write_text(json.dumps(document))
    converted = convert(tmp_path / "b.json", tmp_path / "people.json", "--images", images)
    assert tuple(converted["categories"][0]["keypoints"]) == COCO_17.keypoint_names
    assert converted["annotations"][0]["keypoints"][:3] == [26, 4, 2]


def test_shapes_of_a_model_are_no_labels(tmp_path: Path, images: Path) -> None:
    source = label_files.cvat_images(tmp_path)
    text = source.read_text()
    source.write_text(
        text.replace('<skeleton label="person" source="manual"', '<skeleton label="person" source="auto"', 1)
    )
    done = rsn("data", "convert", source, "--images", images, "--output", tmp_path / "people.json")
    assert "1 shapes of a model without correction (source auto), skipped" in done.stderr
    assert len(json.loads((tmp_path / "people.json").read_text())["annotations"]) == 2


LSP = Path(__file__).parents[3] / "shared/data/lsp_extended"


@pytest.mark.skipif(not LSP.exists(), reason="needs the images of LSP Extended")
@pytest.mark.parametrize("to", ["yolo", "dlc"])
def test_real_labels_come_back_as_the_same_numbers(to: str, tmp_path: Path) -> None:
    document = json.loads((LSP / "annotations.json").read_text())
    chosen = document["images"][10:40]
    annotations = [one for one in document["annotations"] if one["image_id"] in {image["id"] for image in chosen}]
    (tmp_path / "lsp.json").write_text(json.dumps(document | {"images": chosen, "annotations": annotations}))
    written = tmp_path / "written"
    done = rsn("data", "convert", tmp_path / "lsp.json", "--images", LSP, "--to", to, "--output", written)
    assert done.returncode == 0, done.stderr
    back = people_of(convert(written, tmp_path / "back.json"))
    for image, one in zip(chosen, annotations, strict=True):
        ((points, box),) = back[image["file_name"]]
        limits = np.array([image["width"], image["height"], 2]) + 1  # one keypoint is 1.2 pixels outside
        expected = np.clip(np.reshape(one["keypoints"], (-1, 3)), -1, limits)
        np.testing.assert_allclose(points, expected, atol=1e-3)
        if to == "yolo":
            np.testing.assert_allclose(box, one["bbox"], atol=1e-3)
