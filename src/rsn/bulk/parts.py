"""Parts of the input, and the images in a part."""

import gzip
import io
import json
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import IO, Any, Literal

import fsspec

from rsn.bulk.storage import UnreachableError, connect, read_bytes, store_errors
from rsn.errors import AnnotationError, ImageError, RsnError, UnknownNameError
from rsn.io.image_formats import is_image_name, is_unsupported_image_name

ROWS_IN_MEMORY = 64  # of a Parquet file
END_OF_TAR = bytes(512)
InputKind = Literal["images", "tar", "parquet"]


@dataclass(frozen=True)
class Part:
    """Image files, the images of one tar shard, or those of rows `start` to `stop` of a Parquet file.

    urls: full paths or URLs; several for image files only.
    """

    kind: InputKind
    urls: tuple[str, ...]
    start: int = 0
    stop: int = 0

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Part":
        """Read the return value of `to_json`."""
        fields = json.loads(line)
        return cls(fields["kind"], tuple(fields["urls"]), fields["start"], fields["stop"])


@dataclass(frozen=True)
class Columns:
    """Columns of a Parquet file: the images (bytes, or paths of image files) and, optionally, their names."""

    image: str = "image"
    name: str | None = None

    def check(self, schema: Any, url: str) -> None:
        """Raise UnknownNameError for a missing column, AnnotationError for images of another type."""
        for column in filter(None, (self.image, self.name)):
            if column not in schema.names:
                raise UnknownNameError(f"column of {url}", column, schema.names)
        kind = schema.field(self.image).type
        index = kind.get_field_index("bytes") if str(kind).startswith("struct") else -1
        kind = kind.field(index).type if index >= 0 else kind  # images of Hugging Face datasets
        if not str(kind).removeprefix("large_").startswith(("binary", "fixed_size_binary", "string")):
            raise AnnotationError(
                f"{url}: column {self.image!r} holds {kind}; images are bytes of image files, or paths of them"
            )


@dataclass(frozen=True)
class StoredImage:
    """An image: its name, and the bytes of its file, their URL, or the reason why they cannot be read."""

    name: str
    file: bytes | str | RsnError

    def __str__(self) -> str:
        return self.name

    def read(self) -> bytes:
        """The bytes of the file.

        Raises:
            ImageError: it cannot be read. UnreachableError: the store does not respond.
        """
        if isinstance(self.file, RsnError):
            raise self.file
        return read_bytes(self.file) if isinstance(self.file, str) else self.file


def images_of(part: Part, columns: Columns) -> Iterator[StoredImage]:
    """The images of a part, always in the same order.

    Raises:
        UnreachableError: the store does not respond.
    """
    if part.kind == "images":
        return (StoredImage(url, url) for url in part.urls)
    return _tar_images(part.urls[0]) if part.kind == "tar" else _parquet_images(part, columns)


def _tar_images(url: str) -> Iterator[StoredImage]:
    """Members that are images, named URL/MEMBER.

    After a damaged position the rest of the shard is lost; an unreadable image with the shard's name reports that.
    """
    broken = ImageError(f"{url} is broken or ends in the middle; the images after that are lost, copy it again")
    with store_errors(f"read {url}", UnreachableError):
        try:
            with fsspec.open(url, "rb", compression="infer") as file:
                stream = _Stream(file)
                with tarfile.open(fileobj=stream, mode="r|") as shard:
                    yield from _members(shard, url)
                # tarfile does not notice a shard that was cut between two members.
                if stream.last[-len(END_OF_TAR) :] != END_OF_TAR:
                    yield StoredImage(url, broken)
        except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
            yield StoredImage(url, ImageError(f"{broken} ({error})"))


def _members(shard: tarfile.TarFile, url: str) -> Iterator[StoredImage]:
    for member in shard:
        name = f"{url}/{member.name.removeprefix('./')}"
        if member.isfile() and is_image_name(name):
            data = shard.extractfile(member)
            yield StoredImage(name, data.read() if data else b"")
        elif member.isfile() and is_unsupported_image_name(name):
            yield StoredImage(
                name,
                ImageError(f"{name} has an image format that is not supported; convert it to JPEG or PNG"),
            )


class _Stream(io.RawIOBase):
    """A file that remembers the bytes that were read last."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.last = data or self.last
        return data


def _parquet_images(part: Part, columns: Columns) -> Iterator[StoredImage]:
    """Rows, named by the column of names or else URL#ROW. Paths are relative to the file's folder."""
    import pyarrow.parquet as parquet

    (url,) = part.urls
    system, path = connect(url)
    wanted = [column for column in (columns.image, columns.name) if column]
    with store_errors(f"read {url}", UnreachableError), system.open(path, "rb") as file:
        table = parquet.ParquetFile(file)
        row = 0
        for group in range(table.metadata.num_row_groups):
            end = row + table.metadata.row_group(group).num_rows
            if row >= part.stop or end <= part.start:
                row = end
                continue
            for batch in table.iter_batches(ROWS_IN_MEMORY, row_groups=[group], columns=wanted):
                for entry in batch.to_pylist():
                    if part.start <= row < part.stop:
                        yield _parquet_image(entry, columns, url, row)
                    row += 1


def _parquet_image(entry: dict[str, Any], columns: Columns, url: str, row: int) -> StoredImage:
    value, name = entry[columns.image], entry[columns.name] if columns.name else None
    name = f"{url}#{row}" if name is None else str(name)
    if isinstance(value, dict):
        value = value.get("bytes")
    if isinstance(value, str) and not ("://" in value or value.startswith("/")):
        value = f"{url.rpartition('/')[0]}/{value}"
    return StoredImage(name, ImageError(f"{url}#{row} is empty") if value is None else value)
