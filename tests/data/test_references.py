"""Ids and file names refer to the same image in every form."""

import unicodedata
from typing import Any

import pytest

from rsn.data.references import References, path_parts
from rsn.data.values import display_id, normalize_id
from rsn.errors import AnnotationError


@pytest.mark.parametrize("value", [7, 7.0, "7", " 7 ", "7.0", "007"])
def test_normalize_id_maps_equal_ids_to_one_form(value: Any) -> None:
    assert normalize_id(value) == 7


@pytest.mark.parametrize("value", [None, True, [], {}, float("nan"), float("inf"), [7]])
def test_normalize_id_returns_none_for_other_values(value: Any) -> None:
    assert normalize_id(value) is None
    assert display_id(value) is None


def test_normalize_id_keeps_texts_that_are_no_numbers() -> None:
    assert [normalize_id(text) for text in ("00x7", "IMG_7", "-3", "7.5", "1e3", "٣")] == [
        "00x7", "IMG_7", -3, "7.5", "1e3", "٣",
    ]  # fmt: skip
    assert normalize_id("9" * 10_000) == "9" * 10_000
    assert (display_id("7"), display_id(7.0)) == ("7", 7)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.jpg", ("a.jpg",)),
        ("train\\1/a.jpg", ("train", "1", "a.jpg")),
        ("C:\\data\\a.jpg", ("data", "a.jpg")),
        ("/data/a.jpg", ("data", "a.jpg")),
        ("./a.jpg", ("a.jpg",)),
        ("", ()),
    ],
)
def test_path_parts_splits_paths_of_every_system(name: str, parts: tuple[str, ...]) -> None:
    assert path_parts(name) == parts


@pytest.mark.parametrize("value", [1490, "1490", 1490.0, "000000001490", "000000001490.jpg", "val/000000001490.jpg"])
def test_by_id_finds_every_form_of_an_id(value: Any) -> None:
    images = References([1, 1490], ["000000000001.jpg", "000000001490.jpg"])
    assert images.by_id(value) == 1
    assert References(["1", "1490"], ["000000000001.jpg", "000000001490.jpg"]).by_id(value) == 1


@pytest.mark.parametrize("value", ["IMG_7", "IMG_7.JPG", "b/IMG_7.JPG", "b\\IMG_7", "C:\\x\\b\\IMG_7.JPG"])
def test_by_id_finds_file_names_and_stems(value: str) -> None:
    assert References([5, 6], ["b/IMG_8.JPG", "b/IMG_7.JPG"]).by_id(value) == 1
    assert References(["IMG_8", "IMG_7"], [None, None]).by_id("IMG_7.jpg") == 1


def test_by_id_finds_padded_ids_and_numbers_in_file_names() -> None:
    assert References(["0001", "0002"], [None, None]).by_id(2) == 1
    assert References(["x", "y"], ["000007.png", "000012.png"]).by_id(12) == 1
    assert References([3, 4], [None, None]).by_id("0004") == 1
    assert References([3, 4], [None, None]).by_id("0005") is None


def test_by_path_uses_ids_only_for_images_without_name() -> None:
    images = References([2, None], ["cam/000007.jpg", "000009.jpg"])
    assert images.by_path("000002.jpg") is None
    assert images.by_path("cam/000007.jpg") == 0
    assert images.by_path("other/000007.jpg") is None
    assert References([2], [None]).by_path("cam/000002.jpg") == 0
    assert References(["clip.mp4/12"], [None]).by_path("clip.mp4/12") == 0
    assert References([12], [None]).by_path("clip.mp4/12") == 0


def test_by_name_distinguishes_folders() -> None:
    images = References([1, 2], ["cam0/1.jpg", "cam1/1.jpg"])
    assert images.by_name("somewhere/cam1/1.jpg") == 1
    with pytest.raises(AnnotationError, match=r"'1\.jpg' could be any of 2 images; name their folders"):
        images.by_name("1.jpg")


def test_by_name_compares_suffixes_if_both_have_one() -> None:
    images = References([1, 2], ["a.jpg", "a.png"])
    assert images.by_name("a.png") == 1
    assert images.by_name("a.webp") is None


def test_by_name_matches_every_unicode_form() -> None:
    images = References([1], [unicodedata.normalize("NFD", "été.jpg")])
    assert images.by_name("été.jpg") == 0


def test_references_find_nothing_for_invalid_names() -> None:
    images = References([None, "", 1], [None, None, ""])
    assert images.by_id(None) is None
    assert images.by_id([1]) is None
    assert images.by_name("") is None
    assert images.by_path("/") is None
    assert images.by_id("9" * 10_000) is None


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        ([2, 3], [None, 0, 1]),  # as ids, though 2.jpg and 3.jpg are there
        ([3, 4], [None, 0, 1]),  # as file names, which find more images
        ([2, 3, 4], [0, 1, 2]),
        ([1, 2, 3], [0, 1, 2]),
        (["1", 2.0], [0, 1, None]),
        ([77, 3], [None, None, 1]),
    ],
)
def test_by_files_reads_ids_of_another_list_in_one_way(ids: list[Any], found: list[int | None]) -> None:
    listed = References(ids, [None] * len(ids))
    assert listed.by_files([1, 2, 3], ["2.jpg", "3.jpg", "4.jpg"]) == found
