"""Unsupported image formats in the inputs of a bulk run are named and counted."""

from pathlib import Path

import pytest

from bulk_images import image, write_shard
from rsn.bulk.parts import Columns, Part, images_of
from rsn.bulk.sources import find_sources
from rsn.errors import ImageError, RsnWarning

LEFT_OUT = r"2 files that look like images are skipped: b\.jxl, d\.CR2;"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    for name in ("a.png", "b.jxl", "c.HEIC", "deep/d.CR2", "e.jfif", "notes.txt", ".f.jxl"):
        (tmp_path / name).write_bytes(image(0))
    return tmp_path


@pytest.mark.parametrize("pattern", ["", "/**"])
def test_folder_warns_about_unsupported_images(folder: Path, pattern: str) -> None:
    with pytest.warns(RsnWarning, match=LEFT_OUT):
        found = find_sources([f"{folder}{pattern}"], Columns(), outside="/nowhere")
    assert [Path(source.urls[0]).name for source in found] == ["a.png", "c.HEIC", "e.jfif"]


def test_folder_with_only_unsupported_images_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.jxl").touch()
    with pytest.raises(ImageError, match=r"there is no image.*; 1 file that looks like an image is skipped: a.jxl"):
        find_sources([str(tmp_path)], Columns(), outside="/nowhere")


def test_shard_reports_each_unsupported_image(tmp_path: Path) -> None:
    members = {"a.png": image(0), "b.jxl": b"x", "b.json": b"{}", "c.heic": b"x", "._d.jxl": b"x"}
    shard = write_shard(tmp_path / "s.tar", members)
    found = {Path(one.name).name: one for one in images_of(Part("tar", (str(shard),)), Columns())}
    assert list(found) == ["a.png", "b.jxl", "c.heic"]
    assert found["a.png"].read() == image(0)
    with pytest.raises(ImageError, match=r"s\.tar/b\.jxl has an image format that is not supported; convert it"):
        found["b.jxl"].read()
