"""Parts of the input, and the photos in one."""

import gzip
import io
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import IO, Any, Literal

import fsspec

from rsn.bulk.storage import UnreachableError, connect, read_bytes
from rsn.errors import AnnotationError, ImageError, RsnError, UnknownNameError
from rsn.image_formats import is_image_name, is_unread_image_name

TAR_SUFFIXES = (".tar", ".tar.gz")
ROWS_AT_A_TIME = 64  # of a Parquet file, in memory
_END_OF_TAR = bytes(512)


@dataclass(frozen=True)
class Part:
    """Photo files, the photos of one tar shard, or those of rows `start` to `stop` of a Parquet file.

    urls: full paths or URLs; one, unless they are photos.
    """

    kind: Literal["photos", "tar", "parquet"]
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
    """Where a Parquet file has its photos (bytes, or paths) and, if anywhere, their names."""

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
            type_ = type_.field("bytes").type  # as Hugging Face's data sets have pictures
        if not (_is_bytes(type_) or types.is_string(type_) or types.is_large_string(type_)):
            raise AnnotationError(
                f"{url}: column {self.image!r} holds {type_}; photos are bytes of picture files, or paths of them"
            )


@dataclass(frozen=True)
class Picture:
    """A photo's name, by which it is told from all others, and how to get the bytes of its file."""

    name: str
    read: Callable[[], bytes]

    def __str__(self) -> str:
        return self.name


def pictures_of(part: Part, columns: Columns) -> Iterator[Picture]:
    """The photos of a part, in an order that is always the same.

    Raises:
        UnreachableError: a store that does not answer.
    """
    if part.kind == "photos":
        return (Picture(url, _reading(url)) for url in part.urls)
    (url,) = part.urls
    return _in_tar(url) if part.kind == "tar" else _in_parquet(url, part.start, part.stop, columns)


def _in_tar(url: str) -> Iterator[Picture]:
    """Members that are pictures, as URL/MEMBER, read in one go from front to back.

    What follows a place where the shard is broken is lost; that is told by a photo of the shard's name that cannot be
    read.
    """
    broken = ImageError(f"{url} is broken or ends in the middle; what comes after is lost, copy it again")
    try:
        with fsspec.open(url, "rb", compression="infer") as file:
            watched = _Watched(file)
            with tarfile.open(fileobj=watched, mode="r|") as shard:
                for member in shard:
                    name = member.name.removeprefix("./")
                    if not member.isfile():
                        continue
                    if is_image_name(name):
                        data = shard.extractfile(member)
                        yield Picture(f"{url}/{name}", _having(data.read() if data else b""))
                    elif is_unread_image_name(name):
                        yield Picture(f"{url}/{name}", _failing(_unread(f"{url}/{name}")))
            # tarfile takes a shard that was cut between two members for a whole one.
            if watched.last[-len(_END_OF_TAR) :] != _END_OF_TAR:
                yield Picture(url, _failing(broken))
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        yield Picture(url, _failing(ImageError(f"{broken} ({error})")))
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


def _in_parquet(url: str, start: int, stop: int, columns: Columns) -> Iterator[Picture]:
    """Rows, named by their column of names, else as URL#ROW. Paths are taken from where the file is."""
    import pyarrow.parquet as parquet

    system, path = connect(url)
    wanted = [column for column in (columns.image, columns.name) if column]
    try:
        with system.open(path, "rb") as file:
            table = parquet.ParquetFile(file)
            groups, row = _groups(table.metadata, start, stop)
            for batch in table.iter_batches(ROWS_AT_A_TIME, row_groups=groups, columns=wanted):
                values = batch.column(columns.image).to_pylist()
                names = batch.column(columns.name).to_pylist() if columns.name else [None] * len(values)
                for value, name in zip(values, names, strict=True):
                    if start <= row < stop:
                        place = f"{url}#{row}"
                        yield Picture(place if name is None else str(name), _of_value(value, url, place))
                    row += 1
    except Exception as error:
        raise UnreachableError(f"cannot read {url}: {error or type(error).__name__}") from error


def _groups(metadata: Any, start: int, stop: int) -> tuple[list[int], int]:
    """Row groups that hold rows of a range, and the number of the first row in them."""
    groups: list[int] = []
    first, row = start, 0
    for number in range(metadata.num_row_groups):
        end = row + metadata.row_group(number).num_rows
        if row < stop and end > start:
            first = first if groups else row
            groups.append(number)
        row = end
    return groups, first


def _of_value(value: Any, url: str, place: str) -> Callable[[], bytes]:
    if isinstance(value, dict):
        value = value.get("bytes")
    if isinstance(value, str):
        absolute = "://" in value or value.startswith("/")
        return _reading(value if absolute else f"{url.rpartition('/')[0]}/{value}")
    if value is None:
        return _failing(ImageError(f"{place} is empty; there is no photo in that row"))
    return _having(value)


def _reading(url: str) -> Callable[[], bytes]:
    return lambda: read_bytes(url)


def _having(data: bytes) -> Callable[[], bytes]:
    return lambda: data


def _unread(name: str) -> ImageError:
    return ImageError(f"{name} is an image of a kind that is not read; convert it to JPEG or PNG")


def _failing(error: RsnError) -> Callable[[], bytes]:
    def fail() -> bytes:
        raise error

    return fail


def _is_bytes(type_: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_binary(type_) or types.is_large_binary(type_) or types.is_fixed_size_binary(type_))
