"""Parts of the input, and the images in one."""

import gzip
import io
import json
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import IO, Any, Literal

import fsspec

from rsn.bulk.storage import UnreachableError, connect, read_bytes
from rsn.errors import AnnotationError, ImageError, RsnError, UnknownNameError
from rsn.io.image_formats import is_image_name, is_unread_image_name

TAR_SUFFIXES = (".tar", ".tar.gz")
ROWS_AT_A_TIME = 64  # of a Parquet file, in memory
_END_OF_TAR = bytes(512)
InputKind = Literal["images", "tar", "parquet"]


@dataclass(frozen=True)
class Part:
    """Image files, the images of one tar shard, or those of rows `start` to `stop` of a Parquet file.

    urls: full paths or URLs; one, unless they are image files.
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
        """What `to_json` wrote."""
        fields = json.loads(line)
        return cls(fields["kind"], tuple(fields["urls"]), fields["start"], fields["stop"])


@dataclass(frozen=True)
class Columns:
    """The columns of a Parquet file with the images (bytes, or paths) and, if it has one, their names."""

    image: str = "image"
    name: str | None = None

    def check(self, schema: Any, url: str) -> None:
        """Look for the columns.

        Raises:
            UnknownNameError: one is not there. AnnotationError: one of another type.
        """
        import pyarrow.types as types

        for column in filter(None, (self.image, self.name)):
            if column not in schema.names:
                raise UnknownNameError(f"column of {url}", column, schema.names)
        type_ = schema.field(self.image).type
        if types.is_struct(type_) and type_.get_field_index("bytes") >= 0:
            type_ = type_.field("bytes").type  # as Hugging Face's data sets have images
        known = (
            types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_string, types.is_large_string
        )  # fmt: skip
        if not any(is_kind(type_) for is_kind in known):
            raise AnnotationError(
                f"{url}: column {self.image!r} holds {type_}; images are bytes of image files, or paths of them"
            )


@dataclass(frozen=True)
class StoredImage:
    """An image's name, unique in a run, and its file: the bytes, their URL, or why they cannot be read."""

    name: str
    file: bytes | str | RsnError

    def __str__(self) -> str:
        return self.name

    def read(self) -> bytes:
        """The bytes of the file.

        Raises:
            ImageError: it cannot be read. UnreachableError: a store that does not answer.
        """
        if isinstance(self.file, RsnError):
            raise self.file
        return read_bytes(self.file) if isinstance(self.file, str) else self.file


def images_of(part: Part, columns: Columns) -> Iterator[StoredImage]:
    """The images of a part, in an order that is always the same.

    Raises:
        UnreachableError: a store that does not answer.
    """
    if part.kind == "images":
        return (StoredImage(url, url) for url in part.urls)
    (url,) = part.urls
    return _in_tar(url) if part.kind == "tar" else _in_parquet(url, part.start, part.stop, columns)


def _in_tar(url: str) -> Iterator[StoredImage]:
    """Members that are images, as URL/MEMBER, read once from front to back.

    What follows a damaged place of the shard is lost; an image of the shard's name that cannot be read reports it.
    """
    broken = ImageError(f"{url} is broken or ends in the middle; what comes after is lost, copy it again")
    try:
        with fsspec.open(url, "rb", compression="infer") as file:
            watched = _Watched(file)
            with tarfile.open(fileobj=watched, mode="r|") as shard:
                for member in shard:
                    name = f"{url}/{member.name.removeprefix('./')}"
                    if member.isfile() and is_image_name(name):
                        data = shard.extractfile(member)
                        yield StoredImage(name, data.read() if data else b"")
                    elif member.isfile() and is_unread_image_name(name):
                        unread = f"{name} is an image of a kind that is not read; convert it to JPEG or PNG"
                        yield StoredImage(name, ImageError(unread))
            # tarfile takes a shard that was cut between two members for a whole one.
            if watched.last[-len(_END_OF_TAR) :] != _END_OF_TAR:
                yield StoredImage(url, broken)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        yield StoredImage(url, ImageError(f"{broken} ({error})"))
    except Exception as error:
        raise UnreachableError(f"cannot read {url}: {error or type(error).__name__}") from error


class _Watched(io.RawIOBase):
    """A file that remembers what was read last."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.last = data or self.last
        return data


def _in_parquet(url: str, start: int, stop: int, columns: Columns) -> Iterator[StoredImage]:
    """Rows, named by their column of names, else as URL#ROW. Paths are relative to the file's folder."""
    import pyarrow.parquet as parquet

    system, path = connect(url)
    wanted = [column for column in (columns.image, columns.name) if column]
    try:
        with system.open(path, "rb") as file:
            table = parquet.ParquetFile(file)
            row = 0
            for group in range(table.metadata.num_row_groups):
                end = row + table.metadata.row_group(group).num_rows
                if row >= stop or end <= start:
                    row = end
                    continue
                for batch in table.iter_batches(ROWS_AT_A_TIME, row_groups=[group], columns=wanted):
                    for entry in batch.to_pylist():
                        if start <= row < stop:
                            name = entry[columns.name] if columns.name else None
                            place = f"{url}#{row}"
                            yield StoredImage(
                                place if name is None else str(name),
                                _in_cell(entry[columns.image], url, place),
                            )
                        row += 1
    except Exception as error:
        raise UnreachableError(f"cannot read {url}: {error or type(error).__name__}") from error


def _in_cell(value: Any, url: str, place: str) -> bytes | str | RsnError:
    if isinstance(value, dict):
        value = value.get("bytes")
    if isinstance(value, str) and not ("://" in value or value.startswith("/")):
        value = f"{url.rpartition('/')[0]}/{value}"
    return ImageError(f"{place} is empty; there is no image in that row") if value is None else value
