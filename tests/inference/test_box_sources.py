"""Files of boxes in three formats."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsn.errors import AnnotationError
from rsn.inference.box_sources import BoxFile, whole_image_boxes

IMAGE = np.zeros((30, 20, 3), np.uint8)


def read(folder: Path, document: Any) -> BoxFile:
    path = folder / "boxes.json"
    path.write_text(json.dumps(document))
    return BoxFile.read(path)


@pytest.mark.parametrize(
    "document",
    [
        {"000139.jpg": [[1, 2, 3, 4, 0.5]], "b.jpg": []},
        [{"image_id": 139, "bbox": [1, 2, 3, 4], "score": 0.5}],
    ],
)
def test_box_file_gives_boxes_and_scores(tmp_path: Path, document: Any) -> None:
    boxes, scores = read(tmp_path, document)(Path("there/000139.jpg"), IMAGE)
    assert boxes.tolist() == [[1, 2, 3, 4]]
    assert scores.tolist() == [0.5]


def test_box_file_reads_coco_annotations_without_crowds(tmp_path: Path) -> None:
    document = {
        "images": [{"id": 7, "file_name": "a.jpg"}],
        "annotations": [
            {"image_id": 7, "bbox": [1, 2, 3, 4]},
            {"image_id": 7, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        ],
    }
    boxes, scores = read(tmp_path, document)(Path("a.jpg"), IMAGE)
    assert boxes.tolist() == [[1, 2, 3, 4]]
    assert scores.tolist() == [1]


def test_box_file_counts_other_categories_and_crowds(tmp_path: Path) -> None:
    entries = [
        {"image_id": 7, "bbox": [1, 2, 3, 4], "category_id": 1},
        {"image_id": 7, "bbox": [5, 5, 5, 5]},
        {"image_id": 7, "bbox": [0, 0, 9, 9], "category_id": 1, "iscrowd": 1},
        {"image_id": 7, "bbox": [0, 0, 9, 9], "category_id": 18},
    ]
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps({"images": [{"id": 7, "file_name": "a.jpg"}], "annotations": entries}))
    boxes = BoxFile.read(path, category_ids=[1])
    assert boxes.skipped == {"of a crowd": 1, "of another category": 1}
    assert len(boxes) == 2


def test_empty_list_means_no_person_and_unlisted_image_is_rejected(tmp_path: Path) -> None:
    boxes = read(tmp_path, {"a.jpg": []})
    assert boxes(Path("a.jpg"), IMAGE)[0].shape == (0, 4)
    with pytest.raises(AnnotationError, match="has no boxes for it"):
        boxes(Path("b.jpg"), IMAGE)


@pytest.mark.parametrize(
    "document",
    [
        3,
        {"a.jpg": [[1, 2]]},
        {"a.jpg": [["x", 1, 2, 3]]},
        {"a.jpg": ["1234"]},
        {"a.jpg": [[10**400, 1, 2, 3]]},
        [{"bbox": [1, 2, 3, 4]}],
    ],
)
def test_box_file_rejects_other_documents(tmp_path: Path, document: Any) -> None:
    with pytest.raises(AnnotationError, match="not a file of boxes"):
        read(tmp_path, document)


def test_box_file_rejects_deeply_nested_json(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(AnnotationError, match="not valid JSON"):
        BoxFile.read(tmp_path / "deep.json")


def test_box_file_reads_or_rejects_any_json(tmp_path: Path) -> None:
    keys = ("images", "annotations", "image_id", "bbox", "id", "file_name", "score", "iscrowd", "a.jpg")
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**400) | st.text(max_size=5)
    documents: Any = st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(keys), inner, max_size=4),
    )

    @settings(max_examples=200, deadline=None, database=None)
    @given(documents)
    def fuzz(document: Any) -> None:
        with suppress(AnnotationError):  # anything else fails
            read(tmp_path, document)

    fuzz()


def test_whole_image_is_one_box() -> None:
    boxes, scores = whole_image_boxes(Path("a.jpg"), IMAGE)
    assert boxes.tolist() == [[0, 0, 20, 30]]
    assert scores.tolist() == [1]
