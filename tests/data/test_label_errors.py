"""Labels that cannot be read, or only in part: a sentence that says so, and nothing half written."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import label_files
import label_variants
from command import rsn
from converted_labels import assert_same_people, convert, refused
from label_files import write_images

Writer = Callable[[Path], Path]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / "images")


def test_convert_names_the_most_similar_format(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"images": [], "annotations": []}))
    assert "the most similar is COCO JSON, but it lacks categories" in refused(tmp_path / "a.json")
    assert "did you mean label-studio or labelme?" in refused(tmp_path / "a.json", "--format", "labelstudioo")
    assert "there is no label format to write named 'via'" in refused(tmp_path / "a.json", "--to", "via")
    (tmp_path / "b.txt").write_text("")
    assert "known are COCO JSON, CVAT XML, labelme" in refused(tmp_path / "b.txt")


def test_convert_refuses_several_formats_in_one_folder(tmp_path: Path) -> None:
    source = tmp_path / "set"
    source.mkdir()
    label_files.coco(source), label_files.cvat_images(source)
    message = refused(source)
    assert "labels of several formats: COCO JSON (coco.json), CVAT XML (annotations.xml)" in message
    images = write_images(tmp_path / "images")
    assert_same_people(convert(source, tmp_path / "a.json", "--format", "cvat", "--images", images))


@pytest.mark.parametrize(
    "write",
    [
        label_files.coco,
        label_files.cvat_images,
        label_files.label_studio,
        lambda folder: label_files.via(folder, "csv"),
        lambda folder: label_files.labelme(folder) / "b.json",
        lambda folder: label_files.yolo(folder) / "labels/train/b.txt",
        lambda folder: label_files.dlc(folder) / "labeled-data/clip/CollectedData_me.csv",
    ],
    ids=["coco", "cvat", "label-studio", "via", "labelme", "yolo", "dlc"],
)
def test_convert_refuses_files_that_are_cut_off(write: Writer, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    file = write(folder)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) * 3 // 4])
    message = refused(folder)
    assert any(words in message for words in ("cut off", "not valid JSON", "as it should be")), message


def test_convert_refuses_a_keypoint_that_a_person_has_twice(tmp_path: Path, images: Path) -> None:
    source = label_files.labelme(tmp_path / "set")
    document = json.loads((source / "b.json").read_text())
    document["shapes"].append(document["shapes"][1])
    (source / "b.json").write_text(json.dumps(document))
    assert "'nose' is marked more than once for one person" in refused(source)


def test_convert_refuses_names_that_appear_twice(tmp_path: Path) -> None:
    project = label_files.dlc(tmp_path / "project")
    table = project / "labeled-data/clip/CollectedData_me.csv"
    table.write_text(table.read_text().replace("left_wrist", "nose"))
    assert "two columns me/one/nose/x" in refused(project)
    yolo = label_files.yolo(tmp_path / "yolo")
    config = (yolo / "data.yaml").read_text()
    (yolo / "data.yaml").write_text(config.replace("left_wrist", "nose"))
    assert "keypoint names repeat (nose, nose)" in refused(yolo)


def test_convert_counts_images_without_labels_and_labels_without_images(tmp_path: Path, images: Path) -> None:
    source = label_files.coco(tmp_path)
    (images / "b.png").unlink()
    write_images(images / "more")
    (images / "more/b.png").unlink()
    done = rsn("data", "convert", source, "--images", images, "--output", tmp_path / "people.json")
    assert done.returncode == 0
    assert f"1 images of the labels that are not in {images}, skipped: b.png" in done.stderr
    assert f"2 images in {images} without labels: more/c.png, more/sub/a.png" in done.stderr
    names = [image["file_name"] for image in json.loads((tmp_path / "people.json").read_text())["images"]]
    assert names == ["sub/a.png", "c.png"]
    (tmp_path / "empty").mkdir()
    assert "none of its 3 images (sub/a.png)" in refused(source, "--images", tmp_path / "empty", output="b.json")


def test_convert_takes_out_keypoints_outside_the_image(tmp_path: Path, images: Path) -> None:
    source = label_files.coco(tmp_path)
    document = json.loads(source.read_text())
    document["annotations"][0]["keypoints"][:5] = [500, 5, 2, -1.5, 30]
    source.write_text(json.dumps(document))
    done = rsn("data", "convert", source, "--images", images, "--output", tmp_path / "people.json")
    assert "1 keypoints outside their image, now absent (visibility 0)" in done.stderr
    assert json.loads((tmp_path / "people.json").read_text())["annotations"][0]["keypoints"][:6] == [
        0,
        0,
        0,
        -1,
        30,
        1,
    ]
    assert "1 keypoints just outside their image, moved to its border" in done.stderr


def _archive(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "export.zip", "w") as archive:
        archive.writestr("annotations.xml", "<annotations/>")
    return folder


def _yolo_text(folder: Path) -> Path:
    (folder / "a.txt").write_text("0 0.5 0.5 0.2 0.2 0.5 0.5 2\n")
    return folder


def _edited(write: Writer, old: str, new: str) -> Writer:
    def write_edited(folder: Path) -> Path:
        source = write(folder)
        files = [path for path in source.rglob("*.*") if path.suffix != ".png"] if source.is_dir() else [source]
        texts = {path: path.read_text() for path in files if path.is_file()}
        assert any(old in text for text in texts.values())
        for path, text in texts.items():
            path.write_text(text.replace(old, new))
        return source

    return write_edited


def _openpose(folder: Path) -> Path:
    pose = [value for index in range(25) for value in (-0.5 + index / 30, 0.2, 0.9)]
    document = {"version": 1.3, "people": [{"pose_keypoints_2d": pose}]}
    (folder / "b_keypoints.json").write_text(json.dumps(document))
    return folder


def _video_tasks(folder: Path) -> Path:
    path = label_files.cvat_video(folder)
    track = '<track id="0" label="person" source="manual" task_id="{}">'
    text = path.read_text().replace('<track id="0" label="person" source="manual">', track.format(1))
    path.write_text(text.replace("</annotations>", track.format(2) + "</track></annotations>"))
    return path


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (_archive, "unpack export.zip"),
        (lambda folder: _archive(folder) / "export.zip", "is an archive; unpack it, and name the folder"),
        (_yolo_text, "whose data.yaml with kpt_shape is missing"),
        (_edited(label_files.yolo, "0: [nose,", "0: [a, b, c]\n  1: [nose,"), "its classes have different kpt_names"),
        (_edited(label_files.yolo, "kpt_shape: [3, 3]", "kpt_shape: [3]"), "not a YOLO-pose data.yaml"),
        (_edited(label_files.yolo, "  0: person", "  3: person"), "class 0 is not in its names"),
        (_openpose, "has coordinates from -1 to 1; run OpenPose with --keypoint_scale 0"),
        (_video_tasks, "videos of several tasks"),
        (_edited(label_files.cvat_images, 'xtl="2.0"', 'xtl="left"'), "could not convert string to float"),
        (_edited(label_files.label_studio, '"image_rotation": 0', '"image_rotation": 90'), "rotate it back there"),
        (_edited(label_files.label_studio, "/data/local-files/?d=photos/b.png", "b"), "no image among image"),
        (_edited(label_files.labelme, '"imagePath"', '"image_path"'), "the most similar is labelme, but it lacks"),
        (_edited(label_files.dlc, ",y,", ",likelihood,"), "predictions, with a likelihood"),
        (_edited(label_variants.via3_project, '"fid_list": ["1"]', '"fid_list": ["1", "2"]'), "view 1 shows 2 files"),
        (_edited(label_variants.via3_csv, ',"[]"', ""), "a row with 5 columns, not 6; is the file cut off?"),
        (_edited(label_files.coco, '"id": 2, "file_name"', '"id": 1, "file_name"'), "1 repeated image ids"),
        (_edited(label_files.coco, '"file_name": "b.png"', '"file_name": "sub/a.png"'), "1 images more than once"),
        (_edited(label_files.coco, "10.0, 12.5, 2, 4.0, 30.0", "0.1, 0.2, 2, 0.3, 0.5"), "fractions of the image"),
        (_edited(label_files.coco, "10.0, 12.5, 2", "NaN, 12.5, 2"), "a number that is not finite"),
    ],
)
def test_convert_refuses_in_one_sentence(write: Writer, words: str, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    message = refused(write(folder))
    assert words in message, message
    assert message.count("\n") == 0
