"""The less common forms of labels are read truly, or refused in a sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import label_files
import label_variants
from command import rsn
from converted_labels import assert_same_people, convert, people_of, refused
from label_files import NAMES, write_images

Writer = Callable[[Path], Path]


@pytest.mark.parametrize(
    "write",
    [
        label_variants.via3_project,
        label_variants.via1_csv,
        label_variants.label_studio_labels_tag,
        label_variants.label_studio_uploads,
        label_variants.coco_with_repeated_ids,
        label_variants.cvat_images_of_a_video,
    ],
)
def test_convert_reads_variants_of_a_file(write: Writer, tmp_path: Path) -> None:
    images = write_images(tmp_path / "images")
    assert_same_people(convert(write(tmp_path / "labels"), tmp_path / "people.json", "--images", images))


@pytest.mark.parametrize("write", [label_variants.coco_of_cvat, label_variants.yolo_of_another_machine])
def test_convert_reads_variants_of_a_folder(write: Writer, tmp_path: Path) -> None:
    assert_same_people(convert(write(tmp_path / "set"), tmp_path / "people.json"))


def test_convert_reads_csv_of_via_3(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images")
    document = convert(label_variants.via3_csv(tmp_path / "labels"), tmp_path / "people.json", "--images", images)
    assert [image["file_name"] for image in document["images"]] == ["sub/a.png", "b.png"]  # it lists no others
    document["images"].append({"id": 3, "file_name": "c.png"})
    assert_same_people(document)


def test_convert_reads_json_min_of_label_studio(tmp_path: Path) -> None:
    source, images = label_variants.label_studio_min(tmp_path / "labels"), write_images(tmp_path / "images")
    assert_same_people(convert(source, tmp_path / "people.json", "--images", images), occluded=False)


def test_convert_reads_annotations_in_a_storage_of_label_studio(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images")
    source = label_variants.label_studio_storage(tmp_path / "labels")
    assert_same_people(convert(source, tmp_path / "people.json", "--images", images))


def test_regions_of_one_parent_are_one_person(tmp_path: Path) -> None:
    source, images = label_files.label_studio(tmp_path), write_images(tmp_path / "images")
    tasks = json.loads(source.read_text())
    for annotation in (one for task in tasks for one in task["annotations"]):
        for result in annotation["result"]:
            if result["type"] == "rectanglelabels":
                result["type"] = "ellipselabels"
    source.write_text(json.dumps(tasks))
    assert_same_people(convert(source, tmp_path / "people.json", "--images", images), boxes=False)


@pytest.mark.parametrize("write", [label_variants.yolo_of_cvat, label_variants.yolo_without_images])
def test_convert_reads_yolo_labels_with_images_elsewhere(write: Writer, tmp_path: Path) -> None:
    source = write(tmp_path / "set")
    images = tmp_path / "elsewhere"
    assert "name their folder with --images" in refused(source, output="none.json")
    document = convert(source, tmp_path / "people.json", "--images", images)
    for image in document["images"]:
        image["file_name"] = image["file_name"].replace(".png.rf.0a1b", "")
    if write is label_variants.yolo_without_images:
        document["images"].sort(key=lambda image: -len(image["file_name"]))
    assert_same_people(document)


def test_convert_reads_the_labels_of_the_projects_scorer(tmp_path: Path) -> None:
    document = convert(label_variants.dlc_of_two_labelers(tmp_path / "project"), tmp_path / "people.json")
    assert_same_people(document, occluded=False, boxes=False)
    assert document["categories"][0]["skeleton"] == [[1, 2]]


def test_convert_writes_the_images_inside_labelme_files(tmp_path: Path) -> None:
    source = label_variants.labelme_with_image_data(tmp_path / "set")
    document = convert(source, tmp_path / "people.json", "--images", tmp_path / "images")
    assert_same_people(document)
    assert (tmp_path / "images/sub/a.png").is_file()


def test_skeletons_of_cvat_get_the_smallest_box_around_them(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images")
    box = '<box label="body" source="manual" occluded="0" xtl="{}" ytl="{}" xbr="{}" ybr="{}" z_order="0"></box>'
    points = '<points label="{}" source="manual" outside="0" occluded="0" points="{},{}"></points>'
    inner, outer = (
        '<skeleton label="person" source="manual" z_order="0">'
        + "".join(points.format(name, *spot) for name, spot in zip(NAMES, spots, strict=True))
        + "</skeleton>"
        for spots in ([(40, 12), (36, 20), (44, 20)], [(50, 5), (10, 40), (90, 40)])
    )
    shapes = box.format(5, 2, 95, 45) + box.format(30, 8, 50, 25) + inner + outer
    image = f'<image id="0" name="b.png" width="100" height="50">{shapes}</image>'
    (tmp_path / "a.xml").write_text(f"<annotations><version>1.1</version>{image}</annotations>")
    people = people_of(convert(tmp_path / "a.xml", tmp_path / "people.json", "--images", images))
    assert [box for _, box in people["b.png"]] == [[30, 8, 20, 17], [5, 2, 90, 43]]


@pytest.mark.parametrize("form", ["cmu", "open"])
def test_convert_reads_other_formats_of_alphapose(form: str, tmp_path: Path) -> None:
    source, images = label_variants.alphapose(tmp_path / "out", form), write_images(tmp_path / "images")
    document = convert(source, tmp_path / "people.json", "--images", images)
    (person,) = document["annotations"]  # not once more from sep-json
    assert document["categories"][0]["keypoints"][:3] == ["nose", "neck", "right_shoulder"]
    assert person["keypoints"][6:12] == [22, 12, 2, 0, 0, 0]
    again = convert(source / "sep-json", tmp_path / "again.json", "--images", images, "--format", "alphapose")
    assert again["annotations"][0]["keypoints"] == person["keypoints"]


def test_convert_finds_the_images_of_numbered_results(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images")
    (images / "b.png").rename(images / "000000000139.png")
    keypoints = [value for index in range(17) for value in (20 + index, 10 + index, 0.5)]
    entry = {"image_id": 139, "category_id": 1, "keypoints": keypoints, "score": 0.5}
    (tmp_path / "results.json").write_text(json.dumps([entry]))
    document = convert(tmp_path / "results.json", tmp_path / "people.json", "--images", images)
    assert [image["file_name"] for image in document["images"]] == ["000000000139.png"]


def test_tracks_and_frames_without_people_of_sleap_are_kept(tmp_path: Path) -> None:
    sleap_io = pytest.importorskip("sleap_io")
    skeleton, track = sleap_io.Skeleton(list(NAMES)), sleap_io.Track("one")
    videos = [sleap_io.Video(str(tmp_path / day / "clip.mp4"), open_backend=False) for day in ("mon", "tue")]
    for video in videos:
        video.backend_metadata = {"shape": [9, 60, 80, 1]}
    points, wrong = np.array([[50, 10], [40, 25], [60, 25.0]]), np.ones((3, 2))
    frames = [
        sleap_io.LabeledFrame(
            video=video, frame_idx=4, instances=[sleap_io.Instance.from_numpy(points, skeleton=skeleton, track=track)]
        )
        for video in videos
    ]
    negative = sleap_io.LabeledFrame(
        video=videos[0], frame_idx=7, instances=[sleap_io.PredictedInstance.from_numpy(wrong, skeleton=skeleton)]
    )
    negative.is_negative = True
    sleap_io.Labels([*frames, negative]).save(str(tmp_path / "labels.slp"), verbose=False)
    done = rsn("data", "convert", tmp_path / "labels.slp", "--output", tmp_path / "people.json")
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "people.json").read_text())
    names = {image["id"]: image["file_name"] for image in document["images"]}
    assert sorted(names.values()) == ["mon_clip/000004.png", "mon_clip/000007.png", "tue_clip/000004.png"]
    labeled = [(names[one["image_id"]], one["track_id"]) for one in document["annotations"]]
    assert sorted(labeled) == [("mon_clip/000004.png", 0), ("tue_clip/000004.png", 0)]


@pytest.mark.parametrize("to", ["coco", "cvat", "labelme", "label-studio", "yolo", "dlc"])
def test_unknown_keypoints_stay_unknown_or_become_absent(to: str, tmp_path: Path) -> None:
    images, source = write_images(tmp_path / "images"), label_files.coco(tmp_path)
    document = json.loads(source.read_text())
    person = document["annotations"][1]
    person |= {"keypoints": [60, 15, 2, 70, 33, -1, 52, 31.5, 2], "num_keypoints": 2}
    source.write_text(json.dumps(document))
    written = tmp_path / {"coco": "a.json", "cvat": "a.xml", "label-studio": "tasks.json"}.get(to, "written")
    done = rsn("data", "convert", source, "--images", images, "--to", to, "--output", written)
    assert done.returncode == 0, done.stderr
    where = () if to in ("yolo", "dlc") else ("--images", images)
    back = people_of(convert(written, tmp_path / "back.json", *where))["a.png"][1][0]
    expected = [70, 33, -1] if to == "coco" else [0, 0, 0]
    np.testing.assert_allclose(back, [[60, 15, 2], expected, [52, 31.5, 2]], atol=1e-3)
    if to == "cvat":
        assert 'points="70.000,33.000" outside="1"' in written.read_text()


def test_finetune_learns_from_converted_labels(tmp_path: Path) -> None:
    document = convert(label_files.yolo(tmp_path / "set"), tmp_path / "people.json")
    unknown = document["annotations"][0]["keypoints"]
    unknown[2::3] = [2, -1, -1]  # as `rsn data label` writes
    (tmp_path / "people.json").write_text(json.dumps(document))
    short = ("optimization.steps=2", "val_interval=2", "optimization.warmup_steps=0", "input_size=[64, 64]")
    arguments: list[Any] = ["--images", tmp_path / "set", "--output", tmp_path / "run", "--set", *short]
    done = rsn("finetune", tmp_path / "people.json", *arguments)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/best.safetensors").is_file()
