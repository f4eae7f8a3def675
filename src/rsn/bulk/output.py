"""What a run writes: settings, the plan, and for each part that is done one Parquet file of people."""

import io
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rsn.bulk.parts import Part
from rsn.bulk.storage import connect, full_name, is_local, store_errors
from rsn.errors import RsnError
from rsn.io.files import check_writable, make_folder, write_atomically
from rsn.skeletons import Skeleton

SETTINGS, PLAN, PEOPLE, UNREADABLE = "settings.json", "plan.jsonl", "people", "unreadable"
FORMAT = 2  # of the folder; a change that breaks readers counts up


@dataclass(frozen=True)
class Settings:
    """What decides the results, and so may not change between runs into one folder.

    detector, box_category: empty where not used. model_sha256, boxes_sha256, detector_sha256: of the files that are
    meant; empty where it is none.
    """

    inputs: tuple[str, ...]
    column: str
    name_column: str | None
    model: str
    model_sha256: str
    boxes: str
    boxes_sha256: str
    detector: str
    detector_sha256: str
    box_threshold: float
    person_threshold: float
    flip: bool
    backend: str
    box_category: str = ""
    format: int = FORMAT


class Output:
    """A run's folder: a local one, or a URL of a store whose files appear whole (S3 and GCS are such)."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._system, self._path = connect(url)
        self._local = Path(self._path) if is_local(self._system) else None

    def name(self) -> str:
        """The folder as sources name files."""
        return full_name(self._system, self._path).rstrip("/")

    def write(self, name: str, data: bytes) -> None:
        """Write a file in one piece, over one that is there; raises RsnError where it cannot be written."""
        if self._local is not None:
            make_folder((self._local / name).parent)
            return write_atomically(self._local / name, data)
        with store_errors(f"write {self.url}/{name}"):
            self._system.pipe_file(f"{self._path}/{name}", data)

    def read(self, name: str) -> bytes:
        """A file's bytes; none where it is not there. Raises RsnError where it cannot be read."""
        with store_errors(f"read {self.url}/{name}"):
            try:
                return bytes(self._system.cat_file(f"{self._path}/{name}"))
            except FileNotFoundError:
                return b""

    def remove(self, name: str) -> None:
        """Remove a file that is not needed any more; a store may refuse that and keeps it then."""
        with suppress(Exception):
            self._system.rm_file(f"{self._path}/{name}")

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder below this one; none where it is not there."""
        with store_errors(f"list {self.url}/{folder}"):
            try:
                found = self._system.ls(f"{self._path}/{folder}", detail=False, refresh=True)
            except FileNotFoundError:
                return []
            return [str(path).rpartition("/")[2] for path in found]

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Keep other runs from writing to a local folder in the block; the end of the process ends it as well.

        Raises:
            RsnError: it cannot be written to, or another run does.
        """
        local = self._local
        if local is None:
            yield
            return
        from filelock import FileLock, Timeout

        check_writable(local / SETTINGS)
        try:
            lock = FileLock(local / ".lock", timeout=0).acquire()
        except Timeout as error:
            raise RsnError(
                f"another run writes to {self.url}; wait for it, or choose another folder"
            ) from error
        with lock:
            for left in [*local.glob(".*.part"), *local.glob(f"{PEOPLE}/.*.part")]:
                left.unlink(missing_ok=True)  # of a run that was killed while it wrote
            yield

    def check(self, settings: Settings) -> None:
        """Compare settings with those of the run that made the folder, if one did.

        Raises:
            RsnError: the folder belongs to a run of other settings.
        """
        data = self.read(SETTINGS)
        if not data:
            if self.names(PEOPLE):
                raise RsnError(f"{self.url} holds {PEOPLE}/ but no {SETTINGS}; choose another --output")
            return
        try:
            before = dict(json.loads(data))
        except (ValueError, TypeError) as error:
            raise RsnError(
                f"{self.url}/{SETTINGS} is not of a run of rsn bulk; choose another --output"
            ) from error
        now = json.loads(_as_json(settings))
        for key in now.keys() | before.keys():
            if now.get(key) != before.get(key):
                was, is_ = (_readable(values.get(key)) for values in (before, now))
                raise RsnError(
                    f"{self.url} belongs to a run with {key.replace('_', ' ')} {was}, not {is_}; choose another"
                    " --output, or say the same again"
                )

    def read_plan(self) -> list[Part]:
        """The parts, in order of their numbers; none in a new folder.

        Raises:
            RsnError: the file holds something else.
        """
        try:
            return [Part.from_json(line) for line in self.read(PLAN).decode().splitlines()]
        except (ValueError, KeyError, TypeError) as error:
            raise RsnError(f"{self.url}/{PLAN} is damaged; choose another --output") from error

    def write_plan(self, parts: Sequence[Part], settings: Settings) -> None:
        """Write all parts; those that were planned before come first, so that they keep their numbers."""
        self.write(SETTINGS, _as_json(settings).encode())
        self.write(PLAN, "".join(f"{part.to_json()}\n" for part in parts).encode())

    def done(self) -> set[int]:
        """The numbers of the parts that are done."""
        found = (re.fullmatch(r"part-(\d+)\.parquet", name) for name in self.names(PEOPLE))
        return {int(match[1]) for match in found if match}

    def begin(self, number: int, run: str) -> int:
        """Note that a part is begun; returns how often it was in the run of this name, by any worker."""
        times = 1 + int(json.loads(self.read(_begun(number)) or b"{}").get(run, 0))
        self.write(_begun(number), json.dumps({run: times}).encode())
        return times

    def write_part(
        self,
        number: int,
        rows: Sequence[dict[str, Any]],
        unreadable: Sequence[dict[str, str]],
        skeleton: Skeleton,
    ) -> None:
        """Write a part. It is done when its Parquet file is there, which is the last thing to be written.

        rows: one a person, as `schema` has them; an image without people has one without a person.
        """
        if unreadable:
            lines = "".join(json.dumps(entry) + "\n" for entry in unreadable)
            self.write(f"{UNREADABLE}/part-{number:06d}.jsonl", lines.encode())
        self.write(f"{PEOPLE}/part-{number:06d}.parquet", _to_parquet(rows, len(unreadable), skeleton))
        self.remove(_begun(number))


def _to_parquet(rows: Sequence[dict[str, Any]], unreadable: int, skeleton: Skeleton) -> bytes:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    about = {
        "rsn.keypoints": json.dumps(skeleton.keypoint_names),
        "rsn.images": str(sum(row.get("person", 0) == 0 for row in rows)),
        "rsn.results": str(sum("person" in row for row in rows)),
        "rsn.unreadable": str(unreadable),
    }
    buffer = io.BytesIO()
    table = arrow.Table.from_pylist(list(rows), schema=schema().with_metadata(about))
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def schema() -> Any:
    """The columns of people/*.parquet; positions are pixels of the upright image (docs/bulk.md)."""
    import pyarrow as arrow

    number, numbers = arrow.float32(), arrow.list_(arrow.float32())
    return arrow.schema(
        [
            arrow.field("image", arrow.string(), nullable=False),
            arrow.field("person", arrow.int32()),
            arrow.field("box", numbers),
            arrow.field("keypoints", arrow.list_(numbers)),
            arrow.field("scores", numbers),
            arrow.field("score", number),
            arrow.field("width", arrow.int32(), nullable=False),
            arrow.field("height", arrow.int32(), nullable=False),
            arrow.field("model", arrow.string(), nullable=False),
        ]
    )


def _begun(number: int) -> str:
    return f"begun/part-{number:06d}.json"


def _as_json(settings: Settings) -> str:
    return json.dumps(asdict(settings), indent=1) + "\n"


def _readable(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
