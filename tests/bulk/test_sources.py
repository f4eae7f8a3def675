"""Inputs of a bulk run, how they are divided into parts, and the images of a part; without Ray."""

import gzip
from pathlib import Path

import fsspec
import pytest

from bulk_images import image, write_images, write_parquet, write_shard
from rsn.bulk.output import Output
from rsn.bulk.parts import Columns, Part, images_of
from rsn.bulk.sources import SMALLEST, find_sources, split_sources
from rsn.errors import ImageError, RsnError

IMAGES = {f"{number}.png": image(number) for number in range(5)}


def sources_of(*inputs: object, outside: str = "/nowhere", columns: Columns = Columns()) -> list[Part]:  # noqa: B008
    return find_sources([str(given) for given in inputs], columns, outside=outside)


def read(part: Part, columns: Columns = Columns()) -> dict[str, bytes | str]:  # noqa: B008
    """Names of images with their bytes or error message."""
    found: dict[str, bytes | str] = {}
    for stored in images_of(part, columns):
        try:
            found[stored.name] = stored.read()
        except ImageError as error:
            found[stored.name] = str(error)
    return found


def test_folders_are_searched_for_images(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "in" / "deep", 3)
    (tmp_path / "in" / "notes.txt").write_text("no image")
    (tmp_path / "in" / ".hidden.png").write_bytes(image(0))
    write_images(tmp_path / "in" / "out" / "people", 1)
    folder, glob, url = tmp_path / "in", tmp_path / "in" / "deep" / "*1.png", f"file://{tmp_path}/in/deep"
    found = sources_of(folder, glob, url, outside=Output(f"file://{tmp_path}/in/out").name())
    assert [source.urls[0] for source in found] == [str(path) for path in paths]


def test_existing_file_with_brackets_is_no_glob(tmp_path: Path) -> None:
    path = tmp_path / "a[1].png"
    path.write_bytes(image(0))
    assert [source.urls[0] for source in sources_of(path)] == [str(path)]


@pytest.mark.parametrize("name", ["", "missing.png", "missing/", "*.png"])
def test_missing_inputs_are_rejected(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError, match="there is no image, tar shard or Parquet file at"):
        sources_of(f"{tmp_path}/{name}")


def test_parts_hold_every_image_once() -> None:
    sources = [Part("images", (f"{number}.png",)) for number in range(50)]
    sources += [Part("tar", ("a.tar",)), Part("parquet", ("a.parquet",), stop=45)]
    parts = split_sources(sources, size=20, workers=1)
    files = [url for part in parts if part.kind == "images" for url in part.urls]
    rows = [row for part in parts if part.kind == "parquet" for row in range(part.start, part.stop)]
    assert files == [f"{number}.png" for number in range(50)]
    assert rows == list(range(45))
    assert [part.urls for part in parts if part.kind == "tar"] == [("a.tar",)]
    assert all(Part.from_json(part.to_json()) == part for part in parts)


def test_few_images_are_divided_among_workers() -> None:
    sources = [Part("images", (f"{number}.png",)) for number in range(200)]
    assert len(split_sources(sources, size=1000, workers=2)) == 8
    assert len(split_sources(sources[: SMALLEST + 1], size=1000, workers=100)) == 2


@pytest.mark.parametrize("packed", [False, True])
def test_tar_shard_yields_its_images(tmp_path: Path, packed: bool) -> None:
    members = {"a.json": b"{}", "./sub/a.png": IMAGES["0.png"], "b.cls": b"7", "b.jpg": IMAGES["1.png"]}
    path = write_shard(tmp_path / "shard.tar", members)
    if packed:
        path = tmp_path / "shard.tar.gz"
        path.write_bytes(gzip.compress((tmp_path / "shard.tar").read_bytes()))
    assert read(Part("tar", (str(path),))) == {
        f"{path}/sub/a.png": IMAGES["0.png"],
        f"{path}/b.jpg": IMAGES["1.png"],
    }


@pytest.mark.parametrize("kept", [0.5, "between two members", 0.0])
def test_truncated_tar_shard_is_reported(tmp_path: Path, kept: float | str) -> None:
    path = write_shard(tmp_path / "shard.tar", IMAGES)
    data = path.read_bytes()
    first = 512 + -(-len(IMAGES["0.png"]) // 512) * 512  # a header, and blocks of 512 bytes
    data = data[: first if isinstance(kept, str) else int(kept * len(data))]
    path.write_bytes(data)
    found = read(Part("tar", (str(path),)))
    assert "broken or ends in the middle" in str(found.pop(str(path)))
    assert all(found[f"{path}/{name}"] == IMAGES[name] for name in list(IMAGES)[: len(found)])
    assert bool(found) == bool(kept)


def test_parquet_bytes_are_read_by_row_range(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", {"image": list(IMAGES.values()), "id": [7, 8, None, 10, 11]})
    (source,) = sources_of(path)
    assert source.stop == 5
    parts = [Part("parquet", (str(path),), *ends) for ends in [(0, 2), (2, 4), (4, 5)]]
    found = {name: data for part in parts for name, data in read(part, Columns(name="id")).items()}
    assert list(found) == ["7", "8", f"{path}#2", "10", "11"]
    assert list(found.values()) == list(IMAGES.values())


def test_parquet_paths_and_structs_are_read(tmp_path: Path) -> None:
    write_images(tmp_path / "images", 2)
    paths = ["images/0000.png", str(tmp_path / "images" / "0001.png"), None, "images/gone.png"]
    path = write_parquet(tmp_path / "paths.parquet", {"where": paths})
    found = list(read(Part("parquet", (str(path),), 0, 4), Columns("where")).values())
    assert found[:2] == [image(0), image(1)]
    assert "is empty" in str(found[2])
    assert "there is no image" in str(found[3])
    structs = [{"bytes": IMAGES["0.png"], "path": "a.png"}]
    path = write_parquet(tmp_path / "structs.parquet", {"image": structs})
    sources_of(path)
    assert list(read(Part("parquet", (str(path),), 0, 1)).values()) == [IMAGES["0.png"]]


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"imagee": [b"a"]}, r"no column of .*a.parquet named 'image'; did you mean imagee"),
        ({"image": [1.5]}, "column 'image' holds double; images are bytes"),
    ],
)
def test_parquet_with_invalid_column_is_rejected(tmp_path: Path, columns: dict[str, list[object]], text: str) -> None:
    path = write_parquet(tmp_path / "a.parquet", columns)
    with pytest.raises(RsnError, match=text):
        sources_of(path)


def test_invalid_parquet_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"nothing of the kind")
    with pytest.raises(RsnError, match=r"cannot read .*a.parquet as a Parquet file: "):
        sources_of(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("url", "text"), [("gopher://a/b.png", "Protocol not known"), ("oss://a/b.png", "[Ii]nstall ossfs")]
)
def test_unsupported_url_schemes_are_rejected(url: str, text: str) -> None:
    with pytest.raises(RsnError, match=text):
        sources_of(url)


def test_stores_are_read_and_written_by_url() -> None:
    """With fsspec's memory store, which has folders and globs like S3."""
    store = fsspec.filesystem("memory")
    for name, data in IMAGES.items():
        store.pipe_file(f"/bucket/images/{name}", data)
    for given in ("memory://bucket/images", "memory://bucket/*/*.png"):
        found = sources_of(given, outside="memory://bucket/out")
        assert [source.urls[0] for source in found] == [f"memory:///bucket/images/{name}" for name in IMAGES]
    assert list(read(Part("images", tuple(source.urls[0] for source in found))).values()) == list(IMAGES.values())
    folder = Output("memory://bucket/out")
    assert (folder.names("people"), folder.read("people/a")) == ([], b"")
    folder.write("people/a", b"1")
    folder.write("people/a", b"2")
    assert (folder.names("people"), folder.read("people/a")) == (["a"], b"2")
    folder.remove("people/a")
    assert folder.read("people/a") == b""
