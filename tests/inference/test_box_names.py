"""Which image the boxes of a file belong to: ids, file names, stems and paths."""

import json
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command import WHOLE, rsn
from people_on_disk import write_people
from rsn.data.annotations import ImageFile
from rsn.errors import AnnotationError
from rsn.evaluation.prediction import read_boxes
from rsn.inference.box_sources import BoxFile

IMAGE = np.zeros((30, 20, 3), np.uint8)
BOX = [1.0, 2.0, 3.0, 4.0]


def read(folder: Path, document: Any) -> BoxFile:
    path = folder / "boxes.json"
    path.write_text(json.dumps(document))
    return BoxFile.read(path)


def result(image_id: object, **others: object) -> dict[str, object]:
    return {"image_id": image_id, "category_id": 1, "bbox": BOX, "score": 0.5} | others


@pytest.mark.parametrize(
    "document",
    [
        [result(1490)], [result("1490")], [result(1490.0)], [result("000000001490")], [result("000000001490.jpg")],
        [result("val/000000001490")], [result("val\\000000001490.jpg")], [result(3, file_name="000000001490.jpg")],
        [result(3, file_name="/data/val/000000001490.jpg")], [result("x", file_name="C:\\val\\000000001490.jpg")],
        [{"image_id": 3, "file_name": "000000001490.jpg", "keypoints": [1, 2, 0.5], "score": 0.5, "bbox": BOX}],
        {"000000001490.jpg": [[*BOX, 0.5]]}, {"000000001490": [[*BOX, 0.5]]}, {"val/000000001490.jpg": [[*BOX, 0.5]]},
        {"predictions": [result(1490)]}, {"annotations": [result("000000001490")]},
        {"images": [{"id": "7", "file_name": "val\\000000001490.jpg"}], "annotations": [result(7.0, iscrowd="0")]},
        {"images": [{"id": 1490}], "annotations": [result("1490")]},
    ],
)  # fmt: skip
def test_image_is_found_by_id_name_stem_and_path(tmp_path: Path, document: Any) -> None:
    boxes, _ = read(tmp_path, document)(Path("val/000000001490.jpg"), IMAGE)
    assert boxes.tolist() == [BOX]


@pytest.mark.parametrize(
    "document",
    [
        [result(2, file_name="000000000007.jpg")], [result(2, file_name="train/000000001490.jpg")],
        {"000000001490.png": [BOX]}, {"images": [{"id": 1490, "file_name": "a.jpg"}], "annotations": [result(1490)]},
    ],
)  # fmt: skip
def test_boxes_of_another_image_are_not_used(tmp_path: Path, document: Any) -> None:
    with pytest.raises(AnnotationError, match="has no boxes for it"):
        read(tmp_path, document)(Path("val/000000001490.jpg"), IMAGE)


def test_file_names_match_in_any_unicode_composition(tmp_path: Path) -> None:
    boxes = read(tmp_path, {unicodedata.normalize("NFC", "été.jpg"): [BOX]})
    assert boxes.of_image(unicodedata.normalize("NFD", "été.jpg")) is not None


def test_crowds_are_recognized_in_every_notation(tmp_path: Path) -> None:
    entries = [result(1), *(result(1) | {"iscrowd": crowd} for crowd in (1, "1", "true", True))]
    boxes = read(tmp_path, {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": entries})
    assert boxes.skipped == {"of a crowd": 4}
    assert len(boxes) == 1


def test_images_with_the_same_name_need_folders(tmp_path: Path) -> None:
    other = [5.0, 6.0, 7.0, 8.0]
    paths = [Path("a/cam0/1.jpg"), Path("a/cam1/1.jpg")]
    boxes = read(tmp_path, {"cam0/1.jpg": [BOX], "cam1/1.jpg": [other]})
    boxes.check_apart(paths)
    assert [boxes(path, IMAGE)[0].tolist() for path in paths] == [[BOX], [other]]
    with pytest.raises(AnnotationError, match=r"boxes\.json: '1\.jpg' could be any of 2 images; name their folders"):
        boxes(Path("1.jpg"), IMAGE)
    for document in ({"1.jpg": [BOX]}, [result(1)]):
        with pytest.raises(AnnotationError, match=r"could be those of a/cam0/1\.jpg and of a/cam1/1\.jpg; name"):
            read(tmp_path, document).check_apart(paths)


def test_images_of_a_dataset_match_by_id_unless_boxes_have_file_names(tmp_path: Path) -> None:
    images = [ImageFile(number, tmp_path / f"{number + 1}.jpg") for number in (1, 2)]
    (tmp_path / "ids.json").write_text(json.dumps([result(2)]))
    assert read_boxes(tmp_path / "ids.json", images).images[0].image.id == 2  # and not that of 2.jpg
    (tmp_path / "names.json").write_text(json.dumps([result(2, file_name="2.jpg")]))
    assert read_boxes(tmp_path / "names.json", images).images[0].image.id == 1
    (tmp_path / "keys.json").write_text(json.dumps({"2.jpg": [BOX]}))
    assert read_boxes(tmp_path / "keys.json", images).images[0].image.id == 1


def test_all_given_category_ids_are_used(tmp_path: Path) -> None:
    images = [ImageFile("7", tmp_path / "a.jpg")]
    found = [result(7, category_id=one) for one in (1, "2", 3.0, 9)]
    (tmp_path / "boxes.json").write_text(json.dumps(found))
    boxes = read_boxes(tmp_path / "boxes.json", images, category_ids=("1", 2, 3))
    assert len(boxes.images[0].boxes) == 3
    assert boxes.skipped == {"of another category": 1}


def test_predict_accepts_its_own_results_as_boxes(tmp_path: Path, random_weights: Path) -> None:
    write_people(tmp_path, images=2)
    options = ("--model", random_weights, "--backend", "torch", "--output")
    first = rsn("predict", tmp_path / "images", *WHOLE, *options, tmp_path / "one")
    assert first.returncode == 0, first.stderr
    again = rsn("predict", "images", "--boxes", "one/poses.json", *options, tmp_path / "two", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    one, two = (json.loads((tmp_path / name / "poses.json").read_text()) for name in ("one", "two"))
    assert [entry["bbox"] for entry in one] == [entry["bbox"] for entry in two]
    assert [entry["keypoints"] for entry in one] == [entry["keypoints"] for entry in two]


def test_predict_rejects_boxes_that_match_two_images(tmp_path: Path, image: Path, random_weights: Path) -> None:
    for folder in ("cam0", "cam1"):
        (tmp_path / folder).mkdir()
        shutil.copy(image, tmp_path / folder / "1.png")
    (tmp_path / "boxes.json").write_text(json.dumps({"1.png": [BOX]}))
    options = ("--model", random_weights, "--backend", "torch", "--output", tmp_path / "out")
    done = rsn("predict", "cam0", "cam1", "--boxes", "boxes.json", *options, cwd=tmp_path)
    assert done.returncode == 1
    assert "the boxes of 1.png could be those of cam0/1.png and of cam1/1.png" in done.stderr
    assert not list((tmp_path / "out").glob("*.jpg"))
