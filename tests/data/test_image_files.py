"""Images are found under names that another system, tool or folder would use."""

import json
import shutil
import unicodedata
from pathlib import Path

import pytest

from people_on_disk import write_people
from rsn.data import issues as kinds
from rsn.data.checks import check_dataset
from rsn.data.coco import read_coco
from rsn.data.image_files import check_files, locate_images
from rsn.errors import AnnotationError

CAFE = unicodedata.normalize("NFC", "café.jpg")


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ("listed", "there"),
    [
        ("train\\a.jpg", "train/a.jpg"),
        ("images\\\\1/a.jpg", "images/1/a.jpg"),
        ("C:\\Users\\me\\train\\a.jpg", "train/a.jpg"),
        ("/home/me/train/a.jpg", "train/a.jpg"),
        ("images/train/a.jpg", "train/a.jpg"),
        (CAFE, unicodedata.normalize("NFD", CAFE)),
        (unicodedata.normalize("NFD", CAFE), CAFE),
        (unicodedata.normalize("NFD", f"Bücher/{CAFE}"), f"Bücher/{CAFE}"),
        ("IMG_1.JPG", "img_1.jpg"),
        ("COCO_val2014_000000000139.jpg", "000000000139.jpg"),
        ("000000000139.jpg", "COCO_val2014_000000000139.jpg"),
        ("val/COCO_val2014_000000000139.jpg", "val/000000000139.jpg"),
    ],
)
def test_locate_images_accepts_other_spellings(tmp_path: Path, listed: str, there: str) -> None:
    touch(tmp_path, there, "other.jpg")
    located = locate_images(["other.jpg", listed], tmp_path)
    assert located.paths == [tmp_path / "other.jpg", tmp_path / there]
    assert located.respelled == [1]


def test_locate_images_prefers_the_exact_name(tmp_path: Path) -> None:
    names = ["a.jpg", "A.jpg", "x\\a.jpg", unicodedata.normalize("NFD", CAFE), CAFE, "x/a.jpg"]
    touch(tmp_path, *names)
    located = locate_images(names, tmp_path)
    assert located.paths == [tmp_path / name for name in names]
    assert located.respelled == []


def test_locate_images_never_uses_a_file_for_two_names(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "b.jpg")
    located = locate_images(["cam0/1.jpg", "cam1\\1.jpg", "b.jpg", "B.JPG"], tmp_path)
    assert located.paths == [
        tmp_path / "cam0/1.jpg",
        tmp_path / "cam1/1.jpg",
        tmp_path / "b.jpg",
        tmp_path / "B.JPG",
    ]
    assert not any(path.exists() for path in located.paths[:2])


def test_locate_images_rejects_ambiguous_spellings(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "A.jpg")
    assert locate_images(["A.JPG"], tmp_path).paths == [tmp_path / "A.JPG"]


def test_locate_images_ignores_impossible_names(tmp_path: Path) -> None:
    names = ["", ".", "..", "/", "a\0b", "x" * 5000, "*"]
    assert locate_images(names, tmp_path).respelled == []
    assert locate_images(["a.jpg"], tmp_path / "gone").respelled == []


def test_check_files_names_the_folder_of_missing_images(tmp_path: Path) -> None:
    touch(tmp_path, "deep/er/a.jpg")
    with pytest.raises(AnnotationError, match=r"2 of 2 images are missing there; .*deep/er has it, name that folder"):
        check_files({tmp_path / "a.jpg", tmp_path / "b.jpg"}, tmp_path)


def test_windows_paths_are_read_in_training_and_checks(tmp_path: Path) -> None:
    path = write_people(tmp_path, images=2)
    document = json.loads(path.read_text())
    (tmp_path / "images" / "train").mkdir()
    for image in document["images"]:
        shutil.move(tmp_path / "images" / image["file_name"], tmp_path / "images" / "train")
        image["file_name"] = f"train\\{image['file_name']}"
    path.write_text(json.dumps(document))
    people = read_coco(path, tmp_path / "images")
    assert all(person.image.path.parent == tmp_path / "images" / "train" for person in people.people)
    report = check_dataset(path, tmp_path / "images")
    assert report.errors == 0
    assert report.issues[kinds.FILE_NAME_SPELLING] == [1, 2]


def test_check_files_reports_too_long_names_as_missing(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="named by the annotations but not in the images folder"):
        check_files([tmp_path / ("é" * 300)], tmp_path)
